"use strict";
// Tables are sorted by a click on a column's head, and long ones can be searched. Without this the page is complete.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    if (a === "" || b === "") return (a === "") - (b === "");
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
  };
  heads.forEach((head, column) => {
    if (!head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending" ||
        (!head.hasAttribute("aria-sort") && head.classList.contains("n"));
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row, place) => [value(row, column), place, row]);
      rows.sort(([a, i], [b, j]) => {
        const empty = (a === "") - (b === "");
        return empty || (down ? -compare(a, b) : compare(a, b)) || i - j;
      });
      body.append(...rows.map(([, , row]) => row));
    });
  });
  const word = table.dataset.find;
  if (word && body.rows.length > 15) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    const line = document.createElement("div");
    line.className = "find";
    input.type = "search";
    label.append(word);
    input.setAttribute("aria-label", word);
    line.append(label, input);
    table.before(line);
    input.addEventListener("input", () => {
      const wanted = input.value.toLocaleLowerCase();
      for (const row of body.rows) row.hidden = !row.textContent.toLocaleLowerCase().includes(wanted);
    });
  }
}
for (const details of document.querySelectorAll("details")) {
  window.addEventListener("beforeprint", () => { details.open = true; });
}
