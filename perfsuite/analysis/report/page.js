"use strict";
(() => {
  const root = document.documentElement;

  // The theme: the reader's system decides until the button is used.
  const button = document.getElementById("theme");
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
  const name = () => { button.textContent = isDark() ? "Light theme" : "Dark theme"; };
  button.hidden = false;
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
  prefersDark.addEventListener("change", name);
  name();

  // What a mark says: its title, moved here so that a browser does not show it a second time.
  const tip = document.getElementById("tip");
  const words = new WeakMap();
  const wordsOf = (mark) => {
    const title = mark.querySelector("title");
    if (title) { words.set(mark, title.textContent); title.remove(); }
    return words.get(mark) || "";
  };
  let lit = null;
  const hide = () => { tip.classList.remove("on"); if (lit) { lit.classList.remove("on"); lit = null; } };
  const show = (mark, x, y) => {
    const text = wordsOf(mark);
    if (lit && lit !== mark) lit.classList.remove("on");
    lit = mark;
    mark.classList.add("on");
    if (tip.textContent !== text) tip.textContent = text;
    const box = tip.getBoundingClientRect();
    const left = Math.max(6, Math.min(x + 14, window.innerWidth - box.width - 6));
    const top = y - box.height - 12 > 4 ? y - box.height - 12 : y + 18;
    tip.style.left = `${left}px`;
    tip.style.top = `${top}px`;
    tip.classList.add("on");
  };
  document.addEventListener("pointermove", (event) => {
    const mark = event.target instanceof Element && event.target.closest(".mark");
    if (mark) show(mark, event.clientX, event.clientY); else if (lit && !lit.closest("svg").matches(":focus")) hide();
  });
  document.addEventListener("pointerdown", (event) => {
    const mark = event.target instanceof Element && event.target.closest(".mark");
    if (mark) show(mark, event.clientX, event.clientY); else hide();
  });
  window.addEventListener("scroll", hide, { passive: true });

  // One stop of the tab key per figure; arrows go from mark to mark.
  for (const svg of document.querySelectorAll(".panel svg")) {
    if (!svg.querySelector(".mark")) continue;
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("aria-description", "Arrow keys read its marks one by one.");
    let at = -1;
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step) return;
      event.preventDefault();
      const marks = svg.querySelectorAll(".mark");
      at = (at + step + marks.length) % marks.length;
      const box = marks[at].getBoundingClientRect();
      show(marks[at], box.right, box.top);
    });
    svg.addEventListener("blur", hide);
  }

  // Tables: a number, a time with its unit, h:mm:ss, a change of speed or text, by what stands in the cell.
  const UNITS = { ns: 1e-9, us: 1e-6, ms: 1e-3, s: 1 };
  const keyOf = (text) => {
    const clock = /^(\d+):(\d\d):(\d\d)$/.exec(text);
    if (clock) return +clock[1] * 3600 + +clock[2] * 60 + +clock[3];
    const change = /^([\d,.]+)x (faster|slower)/.exec(text);
    if (change) return change[2] === "faster" ? +change[1].replaceAll(",", "") : 1 / +change[1].replaceAll(",", "");
    if (/^(same within|open|baseline)\b/.test(text)) return 1;
    const number = /^~?([+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)(?:x|%)?(?: (ns|us|ms|s))?(?=$|[\s\[(])/i.exec(text);
    return number ? parseFloat(number[1].replaceAll(",", "")) * (UNITS[number[2]] || 1) : null;
  };
  const sort = (table, column, direction) => {
    const body = table.tBodies[0];
    const absent = Array.from(body.querySelectorAll(".absent"));  // without a result they have nothing to sort by
    const keyed = Array.from(body.querySelectorAll("tr:not(.absent)"), (row) => {
      const text = row.cells[column].textContent.trim();
      return { row, text, key: keyOf(text), absent: text === "-" || text === "" };
    });
    keyed.sort((a, b) => {
      if (a.absent || b.absent) return a.absent - b.absent;
      const order = a.key !== null && b.key !== null ? a.key - b.key : a.text.localeCompare(b.text, "en", { numeric: true });
      return direction * order;
    });
    const rows = document.createDocumentFragment();
    for (const { row } of keyed) rows.append(row);
    rows.append(...absent);
    body.append(rows);
  };
  const controls = [];
  for (const holder of document.querySelectorAll(".table")) {
    const table = holder.querySelector("table");
    const heads = Array.from(table.tHead.rows[0].cells);
    if (table.tBodies[0].rows.length < 2) continue;
    heads.forEach((head, column) => {
      const control = document.createElement("button");
      control.type = "button";
      control.textContent = head.textContent;
      head.replaceChildren(control);
      controls.push([head, control]);
      control.addEventListener("click", () => {
        const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
        sort(table, column, direction);
      });
    });
    const field = holder.querySelector(".filter input");
    const count = holder.querySelector(".count");
    holder.querySelector(".filter").hidden = table.tBodies[0].rows.length < 10;
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      const rows = table.tBodies[0].rows;
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
    });
  }

  // On paper nothing can be unfolded; tables of thousands of rows stay folded. A button is not repeated on later pages.
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) {
      if (details.querySelectorAll("tbody tr").length <= 80) details.open = true;
    }
    for (const [head, control] of controls) head.replaceChildren(control.textContent);
  });
  window.addEventListener("afterprint", () => {
    for (const [head, control] of controls) head.replaceChildren(control);
  });
})();
