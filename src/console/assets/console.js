// What a page does in the browser: it follows what happens, draws charts, asks before it acts, and brings files. Everything else is HTML.
"use strict";
(() => {
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const csrf = find('meta[name="csrf"]').content;
  const fill = (text, ...values) => text.replace(/\{\}/g, () => values.shift());

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
  const clock = (s, exact) => new Date(s * 1000).toTimeString().slice(0, exact ? 8 : 5);
  const charts = all("[data-chart]");
  let span = "hour", plots = [];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const line = (label, stroke, value) => ({ label, stroke, width: 1.5, fill: `${stroke}1f`, points: { show: false }, value: (_, v) => (v == null ? "–" : value(v)) });
  const draw = (place, series, value) => {
    const { data } = place.dataset.chart === "rate"
      ? { data: [series.at, series.up, series.down] } : { data: [series.at, series.queued, series.inbox] };
    const lines = place.dataset.chart === "rate"
      ? [line(place.dataset.up, colour("--chart-up"), rate), line(place.dataset.down, colour("--chart-down"), rate)]
      : [line(place.dataset.queued, colour("--chart-up"), count), line(place.dataset.inbox, colour("--chart-down"), count)];
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--chart-grid"), width: 1 }, ticks: { show: false }, font: `11px ${colour("--font")}` };
    const now = Date.now() / 1000, back = span === "day" ? 86400 : 3600;
    const plot = new uPlot({
      width: place.clientWidth, height: place.clientHeight - 26, cursor: { drag: { setScale: false } }, legend: { live: true },
      scales: { x: { range: [now - back, now] }, y: { range: (_, min, max) => [0, Math.max(max || 0, 1) * 1.1] } },
      series: [{ label: place.dataset.time, value: (_, v) => (v == null ? "–" : clock(v, true)) }, ...lines],
      axes: [{ ...axis, size: 30, space: 70, values: (_, ticks) => ticks.map((t) => clock(t)) },
        { ...axis, size: 76, space: 28, values: (_, ticks) => ticks.map((t) => (value(t))) }],
    }, data, place);
    // Until somebody points at a moment, the latest is told.
    if (data[0].length) setTimeout(() => plot.status !== 0 && plot.setLegend({ idx: data[0].length - 1 }), 0);
    const last = (list) => value(list.at(-1) ?? 0);
    place.setAttribute("aria-label", `${place.previousElementSibling?.textContent.trim().split("\n")[0] ?? ""}: ${lines.map((l, i) => `${l.label} ${last(data[i + 1])}`).join(", ")}`);
    return plot;
  };
  const load = async () => {
    const answer = await fetch(`/console/samples?span=${span}`, { headers: { "hx-request": "true" } }).catch(() => undefined);
    if (!answer?.ok) return;
    const series = await answer.json();
    for (const plot of plots) plot.destroy();
    plots = charts.map((place) => draw(place, series, place.dataset.chart === "rate" ? rate : (n) => (Number.isInteger(n) ? count(n) : "")));
  };
  if (charts.length) {
    load();
    setInterval(() => { if (!document.hidden) load(); }, 5000);
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
    const count = () => {
      const chosen = boxes.filter((box) => box.checked).length;
      told.textContent = fill(told.dataset.chosen, chosen);
      for (const button of all("[data-ask]", form)) button.disabled = chosen === 0;
      every.checked = chosen > 0 && chosen === boxes.length;
      every.indeterminate = chosen > 0 && chosen < boxes.length;
    };
    every.addEventListener("change", () => { for (const box of boxes) box.checked = every.checked; count(); });
    for (const box of boxes) box.addEventListener("change", count);
    addEventListener("pageshow", count);
    count();
  }

  // --- Bringing files. -------------------------------------------------------------------------------------------------------------
  const files = find("[data-uploads]");
  if (files) {
    const list = find("#uploads"), send = find("#send"), words = files.dataset, told = find("#told");
    const size = (bytes) => (bytes < 1048576 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`);
    let going = 0;
    const busyWith = (more) => { going += more; send.disabled = going > 0; };
    const make = (tag, text, props = {}) => Object.assign(document.createElement(tag), { textContent: text, ...props });
    const bring = (file, item) => {
      item.replaceChildren();
      item.className = "";
      const bar = make("progress", "", { max: file.size || 1, value: 0, ariaLabel: file.name }), state = make("small", "");
      const remove = make("button", words.remove, { type: "button", className: "small", ariaLabel: `${words.remove} ${file.name}` });
      item.append(make("span", file.name, { className: "file" }), state, remove, bar);
      const call = new XMLHttpRequest();
      remove.addEventListener("click", () => { call.abort(); item.remove(); });
      call.open("PUT", `/console/attachments?name=${encodeURIComponent(file.name)}`);
      call.setRequestHeader("x-csrf", csrf);
      call.setRequestHeader("content-type", "application/octet-stream");
      call.upload.onprogress = (event) => {
        bar.value = event.loaded;
        state.textContent = fill(words.going, size(event.loaded), size(file.size));
      };
      call.onloadend = () => {
        busyWith(-1);
        bar.remove();
        if (call.status === 201) {
          const { digest } = JSON.parse(call.responseText);
          item.className = "good";
          state.textContent = `${words.done} · ${size(file.size)}`;
          const hidden = (name, value) => make("input", "", { type: "hidden", name, value });
          item.append(hidden("attachment", digest), hidden("attachment_name", file.name));
        } else if (item.isConnected) {
          let why = "";
          try { why = JSON.parse(call.responseText).detail ?? ""; } catch { /* The node said nothing. */ }
          item.className = "bad";
          state.textContent = `${words.failed} ${why}`;
          const again = make("button", words.again, { type: "button", className: "small" });
          again.addEventListener("click", () => bring(file, item));
          remove.before(again);
        }
        told.textContent = `${file.name}: ${state.textContent}`;
      };
      busyWith(1);
      call.send(file);
    };
    files.addEventListener("change", () => {
      for (const file of files.files) bring(file, list.appendChild(document.createElement("li")));
      files.value = "";
    });
  }
})();
