"use strict";
(() => {
  // Everything that comes from the plan reaches the page as text: textContent and text nodes, never markup.
  const { changes, causes } = JSON.parse(document.getElementById("data").textContent);
  const rows = [...document.querySelectorAll("details.change")];
  const sections = [...document.querySelectorAll("[data-section]")];
  const tiles = [...document.querySelectorAll(".tile")];
  const views = [...document.querySelectorAll("[data-view]")];
  const search = document.getElementById("search");
  const shown = document.getElementById("shown");
  const none = document.getElementById("none");
  const expand = document.getElementById("expand");
  const help = document.getElementById("keys");
  const narrow = matchMedia("(max-width: 720px)");
  // More than this many at once would keep the browser busy for seconds.
  const AT_ONCE = 300;
  let view = "unified";

  const make = (tag, kind, ...content) => {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.append(...content);
    return element;
  };

  // --- differences ---

  const number = (value) => make("span", "no", value ? String(value) : "");
  const kindOf = { "+": "plus", "-": "minus", "=": "" };

  const lineText = ([op, segments], kind) => {
    const text = make("span", `text ${kind}`.trim());
    for (const segment of segments) {
      if (typeof segment === "string") text.append(segment);
      else if (segment[1]) text.append(make("span", "skip", `… ${segment[1].toLocaleString("en")} characters …`));
      else text.append(op === "=" ? segment[0] : make("mark", "", segment[0]));
    }
    return text;
  };

  const unified = (line, before, after) => {
    const kind = kindOf[line[0]];
    const row = make("div", `row ${kind}`.trim());
    row.append(number(before), number(after), make("span", "op", line[0] === "=" ? "" : line[0]), lineText(line, ""));
    return row;
  };

  const half = (line, at) => {
    if (!line) return [make("span", "no gap"), make("span", "op gap"), make("span", "text gap")];
    const kind = kindOf[line[0]];
    const no = number(at);
    const op = make("span", "op", line[0] === "=" ? "" : line[0]);
    if (kind) { no.classList.add(kind); op.classList.add(kind); }
    return [no, op, lineText(line, kind)];
  };

  const side = (left, right, before, after) => {
    const row = make("div", "row side");
    row.append(...half(left, before), ...half(right, after));
    return row;
  };

  const hunkRows = (hunk, split) => {
    const found = [];
    let before = hunk.b, after = hunk.a;
    const step = (line) => [line[0] === "+" || !before ? 0 : before++, line[0] === "-" || !after ? 0 : after++];
    if (!split) {
      for (const line of hunk.l) found.push(unified(line, ...step(line)));
      return found;
    }
    for (let at = 0; at < hunk.l.length;) {
      if (hunk.l[at][0] === "=") {
        const [b, a] = step(hunk.l[at]);
        found.push(side(hunk.l[at], hunk.l[at], b, a));
        at += 1;
        continue;
      }
      const minus = [], plus = [];
      while (at < hunk.l.length && hunk.l[at][0] === "-") { minus.push([hunk.l[at], step(hunk.l[at])[0]]); at += 1; }
      while (at < hunk.l.length && hunk.l[at][0] === "+") { plus.push([hunk.l[at], step(hunk.l[at])[1]]); at += 1; }
      for (let n = 0; n < Math.max(minus.length, plus.length); n += 1) {
        const [left, b] = minus[n] ?? [null, 0];
        const [right, a] = plus[n] ?? [null, 0];
        found.push(side(left, right, b, a));
      }
    }
    return found;
  };

  const difference = (field) => {
    const box = make("div", "diff");
    const split = view === "split" && !narrow.matches && !field.whole;
    for (const hunk of field.h) {
      if (hunk.h) box.append(make("div", "hunk", hunk.h));
      box.append(...hunkRows(hunk, split));
    }
    if (field.more) box.append(make("div", "more", field.more));
    return box;
  };

  // --- one change ---

  const values = (one) => {
    const box = make("div", "values");
    if ("b" in one) box.append(make("del", "", one.b));
    if ("b" in one && "a" in one) box.append(" → ");
    if ("a" in one) box.append(make("ins", "", one.a));
    return box;
  };

  const fieldBox = (field) => {
    const box = make("div", "field");
    const head = make("div", "head", make("span", "path", field.p));
    const value = !field.h && !field.d && ("b" in field || "a" in field);
    if (value) { box.classList.add("short"); head.append(values(field)); }
    if (field.s) head.append(make("span", "muted small", field.s));
    if (field.c) head.append(make("span", `badge ${field.c}`, causes[field.c]));
    box.append(head);
    if (field.n) box.append(make("ul", "remarks", ...field.n.map((remark) => make("li", "", remark))));
    if (field.h?.length) box.append(difference(field));
    if (field.d) box.append(make("div", "inner", ...field.d.map((one) => make("div", "", make("span", "path muted", one.p), values(one)))));
    return box;
  };

  const fill = (row) => {
    const wanted = `${view}${narrow.matches ? "-narrow" : ""}`;
    if (row.dataset.filled === wanted) return;
    row.dataset.filled = wanted;
    const change = changes[Number(row.dataset.change)];
    const body = make("div", "body");
    if (change.r) body.append(make("p", "", make("span", "muted", "Reason: "), change.r));
    if (change.m) body.append(make("div", "members", ...change.m.map((member) => make("span", "pill", member))));
    for (const field of change.f) body.append(fieldBox(field));
    if (change.u) body.append(make("p", "muted small", change.u));
    if (!body.childNodes.length) body.append(make("p", "muted", "Nothing else changes."));
    row.querySelector(":scope > .body")?.remove();
    row.append(body);
  };

  for (const row of rows) row.addEventListener("toggle", () => { if (row.open) fill(row); });

  const refill = () => { for (const row of rows) if (row.open) fill(row); else delete row.dataset.filled; };
  narrow.addEventListener("change", refill);

  // --- which changes are shown ---

  let haystacks = null;
  const words = (value, into) => {
    if (typeof value === "string") into.push(value);
    else if (Array.isArray(value)) for (const one of value) words(one, into);
    else if (value && typeof value === "object") for (const one of Object.values(value)) words(one, into);
    return into;
  };
  // Segments of a line are joined without a gap, so that a marked word does not hide a phrase from the search.
  const lines = (field) => (field.h ?? []).flatMap((hunk) => hunk.l.map(([, segments]) =>
    segments.map((s) => (typeof s === "string" ? s : s[0])).join("")));
  const haystack = (row) => {
    const change = changes[Number(row.dataset.change)];
    const said = [row.querySelector("summary").textContent, change.r ?? "", ...(change.m ?? [])];
    for (const field of change.f) said.push(...words([field.p, field.b, field.a, field.d], []), ...lines(field));
    return said.join("\n").toLowerCase();
  };

  const update = () => {
    const wanted = tiles.filter((tile) => tile.getAttribute("aria-pressed") === "true").map((tile) => tile.dataset.filter);
    const query = search.value.trim().toLowerCase();
    if (query) haystacks ??= rows.map(haystack);
    let count = 0;
    rows.forEach((row, at) => {
      const kinds = row.dataset.kinds.split(" ");
      const fits = (!wanted.length || wanted.some((kind) => kinds.includes(kind))) && (!query || haystacks[at].includes(query));
      row.hidden = !fits;
      count += fits;
    });
    for (const section of sections) section.hidden = !section.querySelector("details.change:not([hidden])");
    none.hidden = count > 0;
    const all = rows.length.toLocaleString("en");
    shown.textContent = count === rows.length ? "" : `Showing ${count.toLocaleString("en")} of ${all}.`;
  };

  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(update, 80); });
  for (const tile of tiles) {
    tile.addEventListener("click", () => {
      tile.setAttribute("aria-pressed", String(tile.getAttribute("aria-pressed") !== "true"));
      update();
    });
  }
  const reset = () => {
    search.value = "";
    for (const tile of tiles) tile.setAttribute("aria-pressed", "false");
    update();
  };
  document.getElementById("reset").addEventListener("click", reset);

  // --- how they are shown ---

  const setView = (name) => {
    view = name;
    for (const button of views) button.setAttribute("aria-pressed", String(button.dataset.view === name));
    refill();
  };
  for (const button of views) button.addEventListener("click", () => setView(button.dataset.view));

  const visibleRows = () => rows.filter((row) => !row.hidden);
  const toggleAll = () => {
    const some = visibleRows();
    const open = !some.some((row) => row.open);
    for (const row of open ? some.slice(0, AT_ONCE) : some) row.open = open;
    if (open && some.length > AT_ONCE) shown.textContent = `The first ${AT_ONCE} of ${some.length.toLocaleString("en")} are open.`;
    expand.textContent = open ? "Collapse all" : "Expand all";
  };
  expand.addEventListener("click", toggleAll);

  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => { try { return localStorage.getItem("reconciler-theme"); } catch { return null; } };
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const toggleTheme = () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("reconciler-theme", root.dataset.theme); } catch { /* a file may have no storage */ }
  };
  if (["light", "dark"].includes(stored())) root.dataset.theme = stored();
  document.getElementById("theme").addEventListener("click", toggleTheme);

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = visibleRows().filter((row) => !row.open).slice(0, AT_ONCE);
    for (const row of closed) { fill(row); row.open = true; }
  });
  addEventListener("afterprint", () => { for (const row of closed) row.open = false; closed = []; });

  // --- keys ---

  const showHelp = () => { if (!help.open) help.showModal(); };
  document.getElementById("help").addEventListener("click", showHelp);
  const move = (by) => {
    const some = visibleRows();
    const now = some.findIndex((row) => row.contains(document.activeElement));
    const next = some[now < 0 ? (by > 0 ? 0 : some.length - 1) : Math.min(some.length - 1, Math.max(0, now + by))];
    next?.querySelector("summary").focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  const focused = () => rows.find((row) => row.contains(document.activeElement));
  const keys = {
    "/": () => search.focus(),
    j: () => move(1),
    k: () => move(-1),
    o: () => { const row = focused(); if (row) row.open = !row.open; },
    e: toggleAll,
    v: () => setView(view === "split" ? "unified" : "split"),
    d: toggleTheme,
    "?": showHelp,
    Escape: reset,
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.target === search) {
      if (event.key !== "Escape") return;
      search.blur();
    }
    const act = keys[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  update();
  if (rows.length <= 5) for (const row of rows) row.open = true;
})();
