// What a page does in the browser: it follows what happens, draws charts, asks before it acts, and brings files. Everything else is HTML.
"use strict";
(() => {
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const csrf = find('meta[name="csrf"]').content;
  const fill = (text, ...values) => text.replace(/\{\}/g, () => values.shift());

  // On a narrow screen the pages stand in a row that scrolls.
  const here = find(".side [aria-current]");
  if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.clientWidth / 2 + here.offsetWidth / 2;

  // --- Following what happens. -----------------------------------------------------------------------------------------------------
  // A page says with data-follow what it shows; when the node tells of that, the page is asked for anew, at most every two seconds, and
  // htmx takes over the parts that it names. Tabs that nobody sees listen to nothing.
  const follower = find("[data-follow]");
  const live = find("#live");
  const REFRESH_MS = 2000, POLL_MS = 10000, RETRY_MS = 15000;
  let source, due = 0, timer, retry;

  const busy = () => find("dialog[open]") || document.activeElement?.closest("#groups form");
  const refresh = () => {
    timer = undefined;
    if (document.hidden) return;
    if (busy()) return soon();
    due = Date.now() + REFRESH_MS;
    htmx.trigger(follower, "refresh");
  };
  // A question that was opened while the page was asked for stays as it is.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!busy()) return;
    event.detail.shouldSwap = false;
    soon();
  });
  const soon = () => { timer ??= setTimeout(refresh, Math.max(0, due - Date.now(), busy() ? 500 : 0)); };
  const say = (state) => {
    const text = document.body.dataset[{ on: "live", off: "off", stale: "stale" }[state]];
    if (live.textContent !== text) live.textContent = text;
    live.className = `live ${state}`;
  };
  const stop = () => { source?.close(); source = undefined; clearTimeout(retry); };
  const listen = () => {
    stop();
    say("stale");
    const topics = follower.dataset.follow;
    source = new EventSource(`/console/events?topics=${topics}`);
    source.onopen = () => {
      say("on");
      // What happened between the page and this moment is not told.
      soon();
    };
    source.onerror = () => {
      // Told that it may not listen now, the browser gives up; then the page asks from time to time.
      if (source?.readyState !== EventSource.CLOSED) return say("stale");
      say("off");
      retry = setTimeout(listen, RETRY_MS);
    };
    const mine = follower.dataset.message;
    for (const name of [...topics.split(","), "gone", "lost"]) {
      source.addEventListener(name, (event) => {
        if (mine && name === "message" && JSON.parse(event.data).messageid !== mine) return;
        soon();
      });
    }
  };
  if (follower) {
    const attend = () => (document.hidden ? stop() : (listen(), soon()));
    due = Date.now() + REFRESH_MS;
    if (!document.hidden) listen();
    document.addEventListener("visibilitychange", attend);
    addEventListener("pagehide", stop);
    setInterval(() => { if (source?.readyState !== EventSource.OPEN) soon(); }, POLL_MS);
  }

  // --- Charts. ---------------------------------------------------------------------------------------------------------------------
  const rate = (bps) => {
    for (const [step, unit] of [[1e9, "Gbit/s"], [1e6, "Mbit/s"], [1e3, "kbit/s"]]) if (bps >= step) return `${+(bps / step).toFixed(1)} ${unit}`;
    return `${Math.round(bps)} bit/s`;
  };
  const count = (number) => `${number}`;
  const two = (number) => `${number}`.padStart(2, "0");
  const clock = (s, exact) => new Date(s * 1000).toTimeString().slice(0, exact ? 8 : 5);
  const day = (s) => { const at = new Date(s * 1000); return `${two(at.getMonth() + 1)}-${two(at.getDate())}`; };
  // How far each span goes back, how often it is asked for anew, and how its times are written; all in seconds.
  const spans = {
    "1h": { back: 3600, every: 5, tick: (s) => clock(s), exact: (s) => clock(s, true) },
    "24h": { back: 86400, every: 60, tick: (s) => clock(s), exact: (s) => `${day(s)} ${clock(s)}` },
    "30d": { back: 30 * 86400, every: 300, tick: day, exact: (s) => `${day(s)} ${clock(s)}` },
  };
  const charts = all("[data-chart]");
  let span = "1h", plots = [], loaded = 0;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const line = (label, stroke, value) => ({ label, stroke, width: 1.5, fill: `${stroke}1f`, points: { show: false }, value: (_, v) => (v == null ? "–" : value(v)) });
  const draw = (place, series, value) => {
    const { data } = place.dataset.chart === "rate"
      ? { data: [series.at, series.sent_bps, series.received_bps] } : { data: [series.at, series.queued, series.inbox] };
    const lines = place.dataset.chart === "rate"
      ? [line(place.dataset.up, colour("--chart-up"), rate), line(place.dataset.down, colour("--chart-down"), rate)]
      : [line(place.dataset.queued, colour("--chart-up"), count), line(place.dataset.inbox, colour("--chart-down"), count)];
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--chart-grid"), width: 1 }, ticks: { show: false }, font: `11px ${colour("--font")}` };
    // A line that carries nothing lies at the bottom, and its axis has numbers that differ.
    const least = place.dataset.chart === "rate" ? 1000 : 4;
    const now = Date.now() / 1000, { back, tick, exact } = spans[span];
    const plot = new uPlot({
      width: place.clientWidth, height: place.clientHeight - 26, cursor: { drag: { setScale: false } }, legend: { live: true },
      scales: { x: { range: [now - back, now] }, y: { range: (_, min, max) => [0, Math.max(max || 0, least) * 1.1] } },
      series: [{ label: place.dataset.time, value: (_, v) => (v == null ? "–" : exact(v)) }, ...lines],
      axes: [{ ...axis, size: 30, space: 70, values: (_, ticks) => ticks.map((t) => tick(t)) },
        { ...axis, size: 76, space: 28, values: (_, ticks) => ticks.map((t) => (value(t))) }],
    }, data, place);
    // Until somebody points at a moment, the latest is told.
    if (data[0].length) setTimeout(() => plot.status !== 0 && plot.setLegend({ idx: data[0].length - 1 }), 0);
    const last = (list) => value(list.findLast((number) => number != null) ?? 0);
    place.setAttribute("aria-label", `${place.previousElementSibling?.textContent.trim().split("\n")[0] ?? ""}: ${lines.map((l, i) => `${l.label} ${last(data[i + 1])}`).join(", ")}`);
    return plot;
  };
  const load = async () => {
    const asked = span;
    const answer = await fetch(`/console/history?span=${asked}`, { headers: { "hx-request": "true" } }).catch(() => undefined);
    if (!answer?.ok) return;
    const series = await answer.json();
    // Another span may have been chosen meanwhile.
    if (asked !== span) return;
    // A node that has just started has yet to read what it kept.
    loaded = series.at.length ? Date.now() : 0;
    for (const plot of plots) plot.destroy();
    plots = charts.map((place) => draw(place, series, place.dataset.chart === "rate" ? rate : (n) => (Number.isInteger(n) ? count(n) : "")));
  };
  if (charts.length) {
    load();
    setInterval(() => { if (!document.hidden && Date.now() - loaded > spans[span].every * 1000 - 1000) load(); }, 5000);
    addEventListener("resize", () => { clearTimeout(charts.later); charts.later = setTimeout(load, 150); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", load);
    for (const button of all("[data-span]")) {
      button.addEventListener("click", () => {
        span = button.dataset.span;
        for (const other of all("[data-span]")) other.setAttribute("aria-pressed", `${other === button}`);
        load();
      });
    }
  }

  // --- Asking before acting. -------------------------------------------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const asks = event.target.closest("[data-ask]");
    if (asks) {
      const dialog = document.getElementById(asks.dataset.ask);
      dialog.showModal();
      (find("textarea, select", dialog) ?? find("button.main", dialog))?.focus();
      return;
    }
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
    if (event.target.closest("[data-remove]")) event.target.closest("li").remove();
  });
  document.addEventListener("submit", (event) => {
    // Of several questions in a form only the one that is open has to be answered.
    const needed = event.submitter?.closest("dialog")?.querySelector("[data-needed]");
    if (needed && !needed.value.trim()) {
      event.preventDefault();
      needed.required = true;
      needed.reportValidity();
      needed.required = false;
      needed.setAttribute("aria-invalid", "true");
    }
  });
  document.addEventListener("change", (event) => { if (event.target.matches("[data-submits]")) event.target.form.requestSubmit(); });

  // --- Selecting. ------------------------------------------------------------------------------------------------------------------
  for (const form of all("[data-select]")) {
    const boxes = all('input[name="id"]', form), every = find("[data-all]", form), told = find("[data-chosen]", form);
    if (!told) continue;
    // All that fit, whether this page shows them or not.
    const whole = find('input[name="every"]', form);
    const count = () => {
      const chosen = boxes.filter((box) => box.checked).length, isWhole = whole?.checked ?? false;
      told.textContent = isWhole ? told.dataset.chosenEvery : fill(told.dataset.chosen, chosen);
      for (const button of all("[data-ask]", form)) button.disabled = chosen === 0 && !isWhole;
      for (const box of [every, ...boxes]) box.disabled = isWhole;
      every.checked = chosen > 0 && chosen === boxes.length;
      every.indeterminate = chosen > 0 && chosen < boxes.length;
    };
    every.addEventListener("change", () => { for (const box of boxes) box.checked = every.checked; count(); });
    for (const box of boxes) box.addEventListener("change", count);
    whole?.addEventListener("change", count);
    addEventListener("pageshow", count);
    count();
  }

  // --- Files that an answer brings. ------------------------------------------------------------------------------------------------
  // The page stays while the browser saves the file; a cookie tells that it has come, and the page is loaded anew to say what is in it.
  document.addEventListener("submit", (event) => {
    const asked = event.submitter?.closest("[data-downloads]");
    if (!asked || event.defaultPrevented) return;
    asked.close();
    find("#told").textContent = asked.dataset.waits;
    const come = `casegate_come=${asked.dataset.downloads}`;
    setInterval(() => { if (document.cookie.includes(come)) location.replace(location.href); }, 300);
  });

  // --- Bringing files. -------------------------------------------------------------------------------------------------------------
  const size = (bytes) => (bytes < 1048576 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`);
  const make = (tag, text, props = {}) => Object.assign(document.createElement(tag), { textContent: text, ...props });
  // Sends a file and tells how far it is; `done` is given the answer's status and what it says.
  const bringFile = (file, to, bar, state, going, done) => {
    const call = new XMLHttpRequest();
    call.open("PUT", to);
    call.setRequestHeader("x-csrf", csrf);
    call.setRequestHeader("content-type", "application/octet-stream");
    call.upload.onprogress = (event) => {
      bar.value = event.loaded;
      state.textContent = fill(going, size(event.loaded), size(file.size));
    };
    call.onloadend = () => {
      let answer = {};
      try { answer = JSON.parse(call.responseText); } catch { /* The node said nothing. */ }
      bar.remove();
      done(call.status, answer);
    };
    call.send(file);
    return call;
  };
  // Brings a file in pieces: when the connection breaks, what has come stays, and the rest follows once the node answers again.
  const bringPieces = (file, bar, state, words, done) => {
    const pauses = [1, 2, 4, 8, 15, 30];
    let call, ended = false, upload = null, here = 0, broken = 0;
    const end = (status, answer) => {
      if (ended) return;
      ended = true;
      bar.remove();
      done(status, answer);
    };
    const show = (offset) => {
      bar.value = offset;
      state.textContent = fill(words.going, size(offset), size(file.size));
    };
    const ask = (method, to, body, kind, heard) => {
      if (ended) return;
      call = new XMLHttpRequest();
      call.open(method, to);
      call.setRequestHeader("x-csrf", csrf);
      if (kind) call.setRequestHeader("content-type", kind);
      if (method === "PUT") call.upload.onprogress = (event) => show(here + event.loaded);
      call.onloadend = () => {
        let answer = {};
        try { answer = JSON.parse(call.responseText); } catch { /* The node said nothing. */ }
        heard(call.status, answer);
      };
      call.send(body);
    };
    // What passes: no answer, a call that broke off, a node that is busy or stops.
    const passes = (status) => [0, 408, 409, 429, 502, 503, 504].includes(status);
    const wait = (status, answer, next) => {
      if (ended) return;
      if (broken >= 40) return end(status, answer);
      state.textContent = words.waiting;
      setTimeout(next, 1000 * pauses[Math.min(broken++, pauses.length - 1)]);
    };
    const begin = () => ask("POST", "/console/uploads", JSON.stringify({ size: file.size, name: file.name }), "application/json", (status, answer) => {
      if (status === 201) { upload = answer.upload; bring(0); }
      else if (passes(status)) wait(status, answer, begin);
      else end(status, answer);
    });
    const bring = (offset) => {
      if (offset > here) broken = 0;
      here = offset;
      show(here);
      ask("PUT", `/console/uploads/${upload}?offset=${here}`, file.slice(here), "application/octet-stream", (status, answer) => {
        if (status === 201) end(status, answer);
        else if (status === 200 || passes(status)) wait(status, answer, goOn);
        else end(status, answer);
      });
    };
    const goOn = () => ask("GET", `/console/uploads/${upload}`, null, null, (status, answer) => {
      if (status === 200) { if (answer.digest) end(201, answer); else bring(answer.offset); }
      else if (passes(status)) wait(status, answer, goOn);
      else end(status, answer);
    });
    begin();
    return { abort: () => { ended = true; call?.abort(); } };
  };
  const files = find("[data-uploads]");
  if (files) {
    const list = find("#uploads"), send = find("#send"), words = files.dataset, told = find("#told");
    let going = 0;
    const busyWith = (more) => { going += more; send.disabled = going > 0; };
    const bring = (file, item) => {
      item.replaceChildren();
      item.className = "";
      const bar = make("progress", "", { max: file.size || 1, value: 0, ariaLabel: file.name }), state = make("small", "");
      const remove = make("button", words.remove, { type: "button", className: "small", ariaLabel: `${words.remove} ${file.name}` });
      item.append(make("span", file.name, { className: "file" }), state, remove, bar);
      busyWith(1);
      const call = bringPieces(file, bar, state, words, (status, answer) => {
        busyWith(-1);
        if (status === 201) {
          item.className = "good";
          state.textContent = `${words.done} · ${size(file.size)}`;
          const hidden = (name, value) => make("input", "", { type: "hidden", name, value });
          item.append(hidden("attachment", answer.digest), hidden("attachment_name", file.name));
        } else if (item.isConnected) {
          item.className = "bad";
          state.textContent = `${words.failed} ${answer.detail ?? ""}`;
          const again = make("button", words.again, { type: "button", className: "small" });
          again.addEventListener("click", () => bring(file, item));
          remove.before(again);
        }
        told.textContent = `${file.name}: ${state.textContent}`;
      });
      remove.addEventListener("click", () => {
        if (item.contains(bar)) busyWith(-1);
        call.abort();
        item.remove();
      });
    };
    files.addEventListener("change", () => {
      for (const file of files.files) bring(file, list.appendChild(document.createElement("li")));
      files.value = "";
    });
  }

  // --- Importing a queue. ----------------------------------------------------------------------------------------------------------
  const imports = find("[data-imports]");
  if (imports) {
    const file = find("#file", imports), button = find("#do-import", imports), told = find("#imported", imports), words = imports.dataset;
    file.addEventListener("change", () => { button.disabled = !file.files.length; });
    button.addEventListener("click", () => {
      const [chosen] = file.files;
      const bar = make("progress", "", { max: chosen.size || 1, value: 0, ariaLabel: chosen.name }), state = make("small", "");
      told.replaceChildren(bar, state);
      button.disabled = true;
      const call = bringFile(chosen, "/console/import", bar, state, words.going, (status, answer) => {
        button.disabled = false;
        const lines = status === 200
          ? [fill(words.done, answer.from, answer.taken, answer.repeated, answer.attachments),
            ...(answer.no_room ? [fill(words.full, answer.no_room)] : []),
            ...answer.refused.map((one) => `${one.messageid ?? ""} ${words.refused}: ${one.why}`)]
          : [`${words.failed} ${answer.detail ?? ""}`];
        const good = status === 200 && lines.length === 1;
        const said = make("div", "", { className: `said ${good ? "good" : "bad"}`, role: "alert" });
        said.append(...lines.map((text) => make("p", text)));
        told.replaceChildren(said);
      });
      call.upload.addEventListener("load", () => { state.textContent = words.taking; });
    });
  }
})();
