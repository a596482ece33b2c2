"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const header = document.body.dataset.header;
  const live = $("live");
  const said = $("said");

  // --- times, worded relative to now --------------------------------------------------------------------

  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const word = () => {
    for (const time of document.querySelectorAll("time")) {
      const away = (Date.parse(time.dateTime) - Date.now()) / 1000;
      const [unit, size] = units.find(([, each]) => Math.abs(away) >= each) ?? units[3];
      const text = relative.format(Math.trunc(away / size), unit);
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // --- the filter by state --------------------------------------------------------------------------------

  const wanted = new Set();
  const filter = () => {
    for (const chip of document.querySelectorAll("[data-state]")) {
      chip.setAttribute("aria-pressed", String(wanted.has(chip.dataset.state)));
    }
    const there = [...document.querySelectorAll("[data-state]")].some((chip) => wanted.has(chip.dataset.state));
    for (const article of document.querySelectorAll("article")) {
      article.hidden = there && !wanted.has(article.dataset.in);
    }
  };

  // --- keeping the page up to date ------------------------------------------------------------------------

  // What the server sent for each part, to see what differs: the script changes the elements themselves.
  const sent = new Map();
  const parts = (root) => [...root.querySelectorAll("[data-part]")];
  for (const part of parts(document)) sent.set(part.dataset.part, part.outerHTML);

  const replace = (old, fresh) => {
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const open = new Map([...old.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    for (const one of fresh.querySelectorAll("details[id]")) {
      if (open.has(one.id)) one.open = open.get(one.id);
    }
    old.replaceWith(fresh);
    if (focused) {
      const state = focused.dataset.state;
      const next = focused.id ? $(focused.id) : state && fresh.querySelector(`[data-state="${CSS.escape(state)}"]`);
      (next ?? $("catalogs")).focus({ preventScroll: true });
    }
  };

  const names = (root) => [...root.querySelectorAll("article")].map((one) => one.dataset.name).join("\n");

  const update = async () => {
    const response = await fetch("/", { headers: { Accept: "text/html" }, redirect: "manual" });
    if (!response.ok) return location.reload(); // logged out
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (names(page) !== names(document)) return location.reload();
    for (const fresh of parts(page)) {
      const name = fresh.dataset.part;
      if (sent.get(name) === fresh.outerHTML) continue;
      sent.set(name, fresh.outerHTML);
      replace(document.querySelector(`[data-part="${CSS.escape(name)}"]`), document.importNode(fresh, true));
    }
    for (const article of page.querySelectorAll("article")) $(article.id).dataset.in = article.dataset.in;
    filter();
    word();
  };

  let updating = null;
  let again = false;
  const refresh = () => {
    if (updating) { again = true; return; }
    updating = update().catch(() => {}).finally(() => {
      updating = null;
      if (again) { again = false; refresh(); }
    });
  };

  const follow = () => {
    const events = new EventSource("/api/v1/events");
    const say = (name, text) => { live.className = `live ${name}`; live.textContent = text; };
    events.onopen = () => { say("on", "live"); refresh(); };
    events.addEventListener("status", refresh);
    events.onerror = () => {
      say("off", "not connected");
      if (events.readyState === EventSource.CLOSED) {
        events.close();
        setTimeout(() => { refresh(); follow(); }, 5000);
      }
    };
  };

  // --- the buttons ----------------------------------------------------------------------------------------

  const tell = (text, bad) => {
    said.textContent = text;
    said.classList.toggle("bad", bad);
    said.hidden = false;
  };

  const post = async (button, path, body, done) => {
    button.disabled = true;
    try {
      const response = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", [header]: "1" },
        body: JSON.stringify(body),
      });
      const answer = await response.json().catch(() => ({}));
      if (response.ok) tell(done, false);
      else tell([answer.message ?? `HTTP status ${response.status}`, answer.hint].filter(Boolean).join(" — "), true);
    } catch {
      tell("The watcher can't be reached.", true);
    } finally {
      button.disabled = false;
      if (document.activeElement === document.body && button.isConnected) button.focus({ preventScroll: true });
      refresh();
    }
  };

  const dialog = $("confirm");
  const approve = (button, name) => {
    $("confirm-name").textContent = name;
    $("confirm-changes").textContent = button.dataset.changes;
    $("confirm-digest").textContent = button.dataset.approve.slice(0, 12);
    dialog.returnValue = "";
    dialog.onclose = () => {
      if (dialog.returnValue !== "approve") return;
      const digest = button.dataset.approve;
      post(button, "/api/v1/approve", { digest }, `Approved plan ${digest.slice(0, 12)} of ${name}.`);
    };
    dialog.showModal();
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const name = button.closest("article")?.dataset.name;
    const title = button.closest("article")?.querySelector("h2").textContent;
    if (button.dataset.state) {
      if (!wanted.delete(button.dataset.state)) wanted.add(button.dataset.state);
      filter();
    } else if ("reconcileAll" in button.dataset) {
      post(button, "/api/v1/reconcile", {}, "All catalogs are looked at now.");
    } else if ("reconcile" in button.dataset) {
      post(button, "/api/v1/reconcile", { catalog: name }, `${title} is looked at now.`);
    } else if (button.dataset.approve) {
      approve(button, title);
    }
  });

  word();
  setInterval(word, 1000);
  follow();
})();
