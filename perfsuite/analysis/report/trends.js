"use strict";
(() => {
  // A run of a line: what the pointer, a finger or an arrow key is at.
  const WIDTH = 400;
  const tip = document.getElementById("tip");
  let cursor = null;
  const clear = () => { tip.classList.remove("on"); if (cursor) { cursor.remove(); cursor = null; } };
  const levelAt = (series, index) => {
    let found = series.levels[0][1];
    for (const [first, level] of series.levels) if (first <= index) found = level;
    return found;
  };
  const wordsOf = (data, series, index) => {
    const [name, moment, place] = data.runs[series.at ? series.at[index] : index];
    const value = series.values[index];
    const level = levelAt(series, index);
    const off = level ? 100 * (value / level - 1) : 0;
    const change = series.levels.find(([first]) => first === index && first > 0);
    const parts = [`${value} ${series.unit}`.trim() + ` (${off < 0 ? "" : "+"}${off.toFixed(1)}% from the level, ${level})`,
      moment, data.places[place], `run ${index + 1} of ${series.values.length}: ${name}`];
    return (change ? "First run at a new level. " : "") + parts.filter(Boolean).join("; ");
  };
  const place = (svg, data, series, index) => {
    const run = series.at ? series.at[index] : index;
    const x = (run + 0.5) * WIDTH / data.runs.length;
    if (cursor && cursor.ownerSVGElement !== svg) clear();
    if (!cursor) {
      cursor = document.createElementNS("http://www.w3.org/2000/svg", "path");
      cursor.setAttribute("class", "cursor");
      svg.append(cursor);
    }
    cursor.setAttribute("d", `M${x} 0V44`);
    const text = wordsOf(data, series, index);
    if (tip.textContent !== text) tip.textContent = text;
    const drawn = svg.getBoundingClientRect();
    const box = tip.getBoundingClientRect();
    const at = drawn.left + drawn.width * x / WIDTH;
    tip.style.left = `${Math.max(6, Math.min(at + 10, window.innerWidth - box.width - 6))}px`;
    tip.style.top = `${drawn.top - box.height - 6 > 4 ? drawn.top - box.height - 6 : drawn.bottom + 6}px`;
    tip.classList.add("on");
  };
  const nearest = (data, series, share) => {
    const wanted = share * data.runs.length - 0.5;
    if (!series.at) return Math.max(0, Math.min(series.values.length - 1, Math.round(wanted)));
    let best = 0;
    series.at.forEach((run, index) => { if (Math.abs(run - wanted) < Math.abs(series.at[best] - wanted)) best = index; });
    return best;
  };
  for (const machine of document.querySelectorAll(".machine")) {
    const data = JSON.parse(machine.querySelector(".trend-data").textContent);
    const seriesOf = (svg) => data.series[+svg.parentElement.dataset.place];
    for (const svg of machine.querySelectorAll(".trend")) {
      svg.setAttribute("tabindex", "0");
      svg.setAttribute("aria-description", "Arrow keys read its runs one by one, Page Up and Page Down its changes.");
      svg.addEventListener("blur", () => { delete svg.dataset.at; clear(); });
    }
    const point = (event) => {
      const svg = event.target instanceof Element && event.target.closest(".trend");
      if (!svg) return;
      const drawn = svg.getBoundingClientRect();
      const series = seriesOf(svg);
      const index = nearest(data, series, (event.clientX - drawn.left) / drawn.width);
      svg.dataset.at = index;
      place(svg, data, series, index);
    };
    machine.addEventListener("pointermove", point);
    machine.addEventListener("pointerdown", point);
    machine.addEventListener("pointerout", (event) => {
      const svg = event.target instanceof Element && event.target.closest(".trend");
      if (svg && !svg.contains(event.relatedTarget) && document.activeElement !== svg) clear();
    });
    machine.addEventListener("keydown", (event) => {
      const svg = event.target instanceof Element && event.target.closest(".trend");
      if (!svg) return;
      if (event.key === "Escape") { clear(); return; }
      const series = seriesOf(svg);
      const last = series.values.length - 1;
      const at = svg.dataset.at === undefined ? last + 1 : +svg.dataset.at;
      const changes = series.levels.slice(1).map(([first]) => first);
      const target = {
        ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last,
        PageUp: changes.filter((first) => first < at).pop(), PageDown: changes.find((first) => first > at),
      }[event.key];
      if (!["ArrowLeft", "ArrowRight", "Home", "End", "PageUp", "PageDown"].includes(event.key)) return;
      event.preventDefault();
      if (target === undefined) return;
      svg.dataset.at = Math.max(0, Math.min(last, target));
      place(svg, data, series, +svg.dataset.at);
    });
    // Of many benchmarks some: every word must be in the row, or in the full name that it is short for.
    const field = machine.querySelector(".trend-filter input");
    const count = machine.querySelector(".count");
    const rows = Array.from(machine.querySelectorAll(".trends tbody tr"));
    machine.querySelector(".trend-filter").hidden = rows.length < 10;
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = `${row.textContent} ${row.querySelector(".benchmark").title}`.toLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      for (const group of machine.querySelectorAll(".group")) group.hidden = !group.querySelector("tbody tr:not([hidden])");
      count.textContent = shown === rows.length ? `${shown} series` : `${shown} of ${rows.length} series`;
    });
  }
  window.addEventListener("scroll", clear, { passive: true });
})();
