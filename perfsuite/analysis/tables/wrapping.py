"""Text in the columns of a terminal: how wide it is, and its lines, broken between words."""

from __future__ import annotations


def num_cells(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def longest_word(text: str) -> int:
    """Return how many columns its longest word takes: in fewer, it cannot be shown without breaking one."""
    if text.isascii():
        return max(map(len, text.split(" ")))
    return max(map(num_cells, text.split(" ")))


def wrapped(text: str, width: int, *, indent: int = 0) -> list[str]:
    """Return the lines of a text, broken between words.

    Args:
        text: One line.
        width: Columns that a line may take, indentation included.
        indent: Spaces before each line.

    Returns:
        Lines of at most `width` columns. A word for which there is no room behind the indentation begins at the left
        edge; one that is wider than `width` itself is continued there in the next line: only such a word is broken.
    """
    margin = " " * indent
    if indent + num_cells(text) <= width:
        return [margin + text]
    lines: list[str] = []
    used = width  # nothing fits into the line before the first
    for word in filter(None, text.split(" ")):
        size = num_cells(word)
        if used + 1 + size <= width:
            lines[-1] += f" {word}"
            used += 1 + size
        elif indent + size <= width:
            lines.append(margin + word)
            used = indent + size
        else:
            lines += _broken(word, width)
            used = num_cells(lines[-1])
    return lines or [""]


def _broken(word: str, width: int) -> list[str]:
    """Return a word in pieces that each fill a line."""
    if word.isascii():
        return [word[start : start + width] for start in range(0, len(word), width)]
    from rich.cells import chop_cells

    return chop_cells(word, width)
