"use strict";
(() => {
  // Everything that comes from the plan reaches the page as text: textContent and text nodes, never markup.
  const { changes, causes } = JSON.parse(document.getElementById("data").textContent);
  const rows = [...document.querySelectorAll("details.change")];
  const sections = [...document.querySelectorAll("[data-section]")];
  const tiles = [...document.querySelectorAll(".tile")];
  const fields = [...document.querySelectorAll("[data-field]")];
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
  const elementOf = { "+": "ins", "-": "del", "=": "span" };
  const wordOf = { "+": "added: ", "-": "removed: " };

  const sign = (op) => {
    if (op === "=") return make("span", "op");
    const shown = make("span", "", op);
    shown.ariaHidden = "true";
    return make("span", "op", shown, make("span", "sr", wordOf[op]));
  };

  // "of" says whose text it is: b of what was there before, a of what comes after, ba of both.
  const lineText = ([op, segments], kind, of, lang) => {
    const text = make(elementOf[op], `text ${kind}`.trim());
    text.dataset.of = of;
    if (lang) text.lang = lang;
    for (const segment of segments) {
      if (typeof segment === "string") text.append(segment);
      else if (segment[1]) text.append(make("span", "skip", `… ${segment[1].toLocaleString("en")} characters …`));
      else {
        const mark = make("mark", "", segment[0]);
        if (segment[2]) mark.dataset.dots = "";
        text.append(mark);
      }
    }
    return text;
  };

  const unified = (line, before, after, lang) => {
    const kind = kindOf[line[0]];
    const row = make("div", `row ${kind}`.trim());
    const of = { "+": "a", "-": "b", "=": "ba" }[line[0]];
    row.append(number(before), number(after), sign(line[0]), lineText(line, "", of, lang));
    return row;
  };

  const half = (line, at, of, lang) => {
    if (!line) return [make("span", "no gap"), make("span", "op gap"), make("span", "text gap")];
    const kind = kindOf[line[0]];
    const no = number(at);
    const op = sign(line[0]);
    if (kind) { no.classList.add(kind); op.classList.add(kind); }
    return [no, op, lineText(line, kind, of, lang)];
  };

  const side = (left, right, before, after, lang) => {
    const row = make("div", "row side");
    row.append(...half(left, before, "b", lang), ...half(right, after, "a", lang));
    return row;
  };

  const hunkRows = (hunk, split, lang) => {
    const found = [];
    let before = hunk.b, after = hunk.a;
    const step = (line) => [line[0] === "+" || !before ? 0 : before++, line[0] === "-" || !after ? 0 : after++];
    if (!split) {
      for (const line of hunk.l) found.push(unified(line, ...step(line), lang));
      return found;
    }
    for (let at = 0; at < hunk.l.length;) {
      if (hunk.l[at][0] === "=") {
        const [b, a] = step(hunk.l[at]);
        found.push(side(hunk.l[at], hunk.l[at], b, a, lang));
        at += 1;
        continue;
      }
      const minus = [], plus = [];
      while (at < hunk.l.length && hunk.l[at][0] === "-") { minus.push([hunk.l[at], step(hunk.l[at])[0]]); at += 1; }
      while (at < hunk.l.length && hunk.l[at][0] === "+") { plus.push([hunk.l[at], step(hunk.l[at])[1]]); at += 1; }
      for (let n = 0; n < Math.max(minus.length, plus.length); n += 1) {
        const [left, b] = minus[n] ?? [null, 0];
        const [right, a] = plus[n] ?? [null, 0];
        found.push(side(left, right, b, a, lang));
      }
    }
    return found;
  };

  const difference = (field) => {
    const box = make("div", field.whole ? "diff whole" : "diff");
    const split = view === "split" && !narrow.matches && !field.whole;
    for (const hunk of field.h) {
      if (hunk.h) box.append(make("div", "hunk", hunk.h));
      box.append(...hunkRows(hunk, split, field.l));
    }
    if (field.more) box.append(make("div", "more", field.more));
    return box;
  };

  // --- copying: the text of one side, without numbers, signs and the other side ---

  const closest = (node, selector) => (node?.nodeType === Node.ELEMENT_NODE ? node : node?.parentElement)?.closest(selector);
  const plain = (node) => {
    for (const mark of node.querySelectorAll("mark[data-dots]")) mark.textContent = mark.textContent.replaceAll("·", " ");
    return node.textContent;
  };
  const selected = (text, range) => {
    const part = document.createRange();
    part.selectNodeContents(text);
    if (range.compareBoundaryPoints(Range.START_TO_START, part) > 0) part.setStart(range.startContainer, range.startOffset);
    if (range.compareBoundaryPoints(Range.END_TO_END, part) < 0) part.setEnd(range.endContainer, range.endOffset);
    const copied = plain(part.cloneContents());
    return closest(part.commonAncestorContainer, "[data-dots]") ? copied.replaceAll("·", " ") : copied;
  };
  document.addEventListener("copy", (event) => {
    const selection = getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return;
    const range = selection.getRangeAt(0);
    const box = closest(range.startContainer, ".diff");
    if (!box) return;
    const texts = [...box.querySelectorAll("[data-of]")].filter((text) => range.intersectsNode(text));
    // The side that the selection was started on; an unchanged line is of both, and the newer text is meant.
    const of = (closest(selection.anchorNode, "[data-of]") ?? texts[0])?.dataset.of.at(-1) ?? "a";
    const lines = texts.filter((text) => text.dataset.of.includes(of)).map((text) => selected(text, range));
    event.clipboardData.setData("text/plain", lines.join("\n"));
    event.preventDefault();
  });
  // Side by side, only the side that the mouse went down on is selected.
  document.addEventListener("mousedown", (event) => {
    const text = closest(event.target, ".side [data-of]");
    if (text) closest(text, ".diff").dataset.selecting = text.dataset.of;
  });

  const sideText = (field, of) => {
    const line = ([, segments]) => segments.map((segment) => {
      if (typeof segment === "string") return segment;
      return segment[1] ? "[…]" : segment[2] ? segment[0].replaceAll("·", " ") : segment[0];
    }).join("");
    const other = of === "a" ? "-" : "+";
    return field.h.map((hunk) => hunk.l.filter(([op]) => op !== other).map(line).join("\n")).join("\n[…]\n");
  };
  const copyButton = (field, of, label) => {
    const button = make("button", "small copy", label);
    button.type = "button";
    button.addEventListener("click", async () => {
      const text = sideText(field, of);
      try {
        await navigator.clipboard.writeText(text);
      } catch { // no permission, or no such thing for this address
        document.addEventListener("copy", (event) => {
          event.clipboardData.setData("text/plain", text);
          event.preventDefault();
          event.stopImmediatePropagation();
        }, { once: true, capture: true });
        document.execCommand("copy");
      }
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = label; }, 1500);
    });
    return button;
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
    if (field.h?.length) {
      const whole = field.h[0].l[0][0];
      const copies = field.whole
        ? [copyButton(field, whole === "-" ? "b" : "a", "Copy")]
        : [copyButton(field, "b", "Copy before"), copyButton(field, "a", "Copy after")];
      head.append(make("span", "copies", ...copies));
    }
    box.append(head);
    if (field.n) box.append(make("ul", "remarks", ...field.n.map((remark) => make("li", "", remark))));
    if (field.h?.length) box.append(difference(field));
    if (field.d) box.append(make("div", "inner", ...field.d.map((one) => make("div", "", make("span", "path muted", one.p), values(one)))));
    return box;
  };

  // A group's rows of keys lead to themselves; of other changes, the row does.
  const anchor = (key, kind, text) => {
    const link = make("a", kind, text);
    link.href = `#session-${encodeURIComponent(key)}`;
    if (kind) link.dataset.key = key;
    return link;
  };

  const fill = (row) => {
    const wanted = `${view}${narrow.matches ? "-narrow" : ""}`;
    if (row.dataset.filled === wanted) return;
    row.dataset.filled = wanted;
    const change = changes[Number(row.dataset.change)];
    const body = make("div", "body");
    if (change.r) body.append(make("p", "", make("span", "muted", "Reason: "), change.r));
    if (change.m) body.append(make("div", "members", ...change.m.map(([key, more]) => anchor(key, "pill", `${key} ${more}`.trim()))));
    for (const field of change.f) body.append(fieldBox(field));
    if (!body.childNodes.length) body.append(make("p", "muted", "Nothing else changes."));
    if (row.id) body.append(make("p", "small link", anchor(change.k, "", "Link to this session")));
    row.querySelector(":scope > .body")?.remove();
    row.append(body);
  };

  for (const row of rows) row.addEventListener("toggle", () => {
    if (row.open) fill(row);
    else row.classList.remove("brief");
  });

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
    const said = [row.querySelector("summary").textContent, change.r ?? "", ...words(change.m, [])];
    for (const field of change.f) said.push(...words([field.p, field.b, field.a, field.d], []), ...lines(field));
    return said.join("\n").toLowerCase();
  };

  const pressed = (buttons) => buttons.filter((button) => button.getAttribute("aria-pressed") === "true");
  const update = () => {
    const wanted = pressed(tiles).map((tile) => tile.dataset.filter);
    const paths = pressed(fields).map((field) => field.dataset.field);
    const query = search.value.trim().toLowerCase();
    if (query) haystacks ??= rows.map(haystack);
    let count = 0;
    rows.forEach((row, at) => {
      const kinds = row.dataset.kinds.split(" ");
      const fits = (!wanted.length || wanted.some((kind) => kinds.includes(kind)))
        && (!paths.length || ("edits" in row.dataset && changes[Number(row.dataset.change)].f.some((one) => paths.includes(one.p))))
        && (!query || haystacks[at].includes(query));
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
  for (const filter of [...tiles, ...fields]) {
    filter.addEventListener("click", () => {
      filter.setAttribute("aria-pressed", String(filter.getAttribute("aria-pressed") !== "true"));
      update();
    });
  }
  const reset = () => {
    search.value = "";
    for (const filter of [...tiles, ...fields]) filter.setAttribute("aria-pressed", "false");
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

  // --- links to a session: #session-KEY ---

  const rowOf = (key) => rows.find((row) => {
    const { k, m } = changes[Number(row.dataset.change)];
    return k === key || m?.some(([member]) => member === key);
  });
  const follow = () => {
    let id = "";
    try { id = decodeURIComponent(location.hash.slice(1)); } catch { return; }
    const key = id.startsWith("session-") ? id.slice("session-".length) : null;
    const row = key === null ? null : rowOf(key);
    if (!row) return;
    if (row.hidden) reset();
    fill(row);
    row.open = true;
    row.classList.remove("brief");
    const pill = [...row.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
    for (const one of document.querySelectorAll(".aimed")) one.classList.remove("aimed");
    (pill ?? row).classList.add("aimed");
    (pill ?? row.querySelector("summary")).focus({ preventScroll: true });
    (pill ?? row).scrollIntoView({ block: pill ? "center" : "start" });
  };
  addEventListener("hashchange", follow);

  update();
  // A few changes are open from the start; a whole prompt that comes or goes must not push the others off the screen.
  if (rows.length <= 5) for (const row of rows) { row.open = true; if (rows.length > 1) row.classList.add("brief"); }
  // Once the browser has followed the link in its own way, which takes the focus away.
  addEventListener("load", follow);
})();
