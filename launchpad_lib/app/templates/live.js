// Asks for a kernel, talks to it over one comm, and shows what it answers. Names from the data are set as text only.
(async () => {
  const live = document.getElementById("live");
  const main = document.getElementById("main");
  const at = (id) => document.getElementById(id);
  const state = (text) => (at("state").textContent = text);
  const fault = (sentence) => {
    at("fault").textContent = sentence;
    at("fault").hidden = !sentence;
    live.classList.toggle("is-old", Boolean(sentence));
    live.dataset.state = sentence ? "fault" : "asked";
    if (sentence) state("Not computed");
  };
  at("panel").open = window.matchMedia("(min-width: 70rem)").matches;

  let controls = [];
  let own = {};
  let values = {};
  const asked = {};
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const make = (tag, set = {}) => Object.assign(document.createElement(tag), set);

  // The address asks what differs from the notebook's own parameters: a bare text where it reads as no other JSON value.
  const written = (value) => {
    if (typeof value !== "string") return JSON.stringify(value);
    try {
      JSON.parse(value);
      return JSON.stringify(value);
    } catch {
      return value === "" ? '""' : value;
    }
  };
  const remember = () => {
    const query = new URLSearchParams(Object.entries(asked).map(([name, value]) => [name, written(value)])).toString();
    history.replaceState(null, "", `${location.pathname}${query ? `?${query}` : ""}${location.hash}`);
  };
  const ask = (name, value) => {
    if (same(value, own[name])) delete asked[name];
    else asked[name] = value;
    remember();
    fault("");
    state("Computing");
    live.dataset.asked = performance.now();
    say({ kind: "ask", values: asked });
  };

  const select = (control, value, id, changed) => {
    const element = make("select", { id });
    const options = [...control.options];
    if (!options.some(([stored]) => stored === value)) options.push([value, value === null ? "none" : String(value)]);
    for (const [number, [stored, label]] of options.entries()) {
      const option = make("option", { value: String(number), textContent: label, selected: stored === value });
      if (stored !== label && stored !== null) option.title = stored;
      element.append(option);
    }
    element.addEventListener("change", () => changed(options[Number(element.value)][0]));
    return element;
  };
  const list = (control, value, id) => {
    const box = make("fieldset", { id });
    box.append(make("legend", { textContent: control.label }));
    const change = (to) => ask(control.name, to);
    (value ?? []).forEach((item, place) => {
      const row = make("div", { className: "row" });
      if (typeof item === "string") {
        const pick = select(control, item, `${id}-${place}`, (to) => change(value.map((v, i) => (i === place ? to : v))));
        pick.setAttribute("aria-label", `${control.label}, ${place + 1}`);
        row.append(pick);
      } else row.append(make("input", { value: JSON.stringify(item), readOnly: true, ariaLabel: `${control.label}, ${place + 1}` }));
      const up = make("button", { type: "button", textContent: "↑", ariaLabel: `Move ${place + 1} up`, disabled: place === 0 });
      up.addEventListener("click", () => {
        const moved = [...value];
        [moved[place - 1], moved[place]] = [moved[place], moved[place - 1]];
        change(moved);
      });
      const off = make("button", { type: "button", textContent: "×", ariaLabel: `Take ${place + 1} out` });
      off.addEventListener("click", () => change(value.filter((_, i) => i !== place)));
      row.append(up, off);
      box.append(row);
    });
    const more = select({ options: [[null, "add …"], ...control.options] }, null, `${id}-more`, (to) => to !== null && change([...(value ?? []), to]));
    more.setAttribute("aria-label", `${control.label}: add`);
    box.append(more);
    return box;
  };
  const field = (control) => {
    const { name, kind } = control;
    const id = `control-${name}`;
    const value = name in asked ? asked[name] : values[name];
    const box = make("div");
    if (kind === "choices") box.append(list(control, value, id));
    else {
      box.append(make("label", { htmlFor: id, textContent: control.label }));
      if (kind === "choice") box.append(select(control, value ?? null, id, (to) => ask(name, to)));
      else {
        const isJson = kind === "json";
        const input = make("input", { id, type: kind === "switch" ? "checkbox" : kind === "number" || kind === "whole" ? "number" : "text" });
        if (kind === "switch") input.checked = Boolean(value);
        else input.value = isJson ? (typeof value === "string" ? value : JSON.stringify(value ?? null)) : (value ?? "");
        if (kind === "number") input.step = "any";
        if (control.least !== null) input.min = control.least;
        if (control.most !== null) input.max = control.most;
        input.addEventListener("change", () => {
          let to = input.value;
          if (kind === "switch") to = input.checked;
          else if (kind === "number" || kind === "whole") to = input.value === "" ? null : Number(input.value);
          else if (isJson) {
            try {
              to = JSON.parse(input.value);
            } catch {
              to = input.value;
            }
          }
          ask(name, to);
        });
        box.append(input);
      }
    }
    const hint = make("p", { className: "hint", id: `${id}-hint`, textContent: control.help });
    box.querySelectorAll("select, input, fieldset").forEach((part) => part.setAttribute("aria-describedby", hint.id));
    box.append(hint);
    return box;
  };
  const showControls = () => {
    const focused = document.activeElement?.id;
    for (const [place, usual] of [["usual", true], ["more", false]])
      at(place).replaceChildren(...controls.filter((c) => c.is_usual === usual).map(field));
    if (focused && focused.startsWith("control-")) at(focused)?.focus();
  };

  // Only what differs is replaced: what somebody has opened stays open, and nothing else moves.
  const show = (html) => {
    const fresh = make("main");
    fresh.innerHTML = html;
    const opened = new Set([...main.querySelectorAll("details[open] > summary")].map((s) => s.textContent));
    fresh.querySelectorAll("details > summary").forEach((s) => opened.has(s.textContent) && (s.parentElement.open = true));
    const before = [...main.childNodes];
    const after = [...fresh.childNodes];
    if (before.length !== after.length) main.replaceChildren(...after);
    else before.forEach((node, i) => node.isEqualNode(after[i]) || node.replaceWith(after[i]));
  };

  let socket;
  const comm = crypto.randomUUID().replaceAll("-", "");
  const session = crypto.randomUUID().replaceAll("-", "");
  const send = (type, content) =>
    socket.readyState === WebSocket.OPEN &&
    socket.send(
      JSON.stringify({
        channel: "shell",
        header: { msg_id: crypto.randomUUID(), msg_type: type, session, username: "page", date: new Date().toISOString(), version: "5.3" },
        parent_header: {},
        metadata: {},
        content,
      }),
    );
  const say = (data) => send("comm_msg", { comm_id: comm, data });
  const heard = {
    panel: (data) => {
      controls = data.controls.map(([name, label, kind, help, options, least, most, is_usual]) => ({ name, label, kind, help, options, least, most, is_usual }));
      own = data.own;
      values = data.own;
      showControls();
    },
    asked: (data) => {
      values = data.values;
      for (const name of Object.keys(asked)) delete asked[name];
      for (const { name } of controls) if (!same(values[name], own[name])) asked[name] = values[name];
      remember();
      showControls();
      fault("");
      state("Computing");
    },
    page: (data) => {
      show(data.html);
      document.title = main.querySelector("h1")?.textContent ?? document.title;
      performance.mark(data.is_whole ? "whole" : "first");
      live.dataset.pages = Number(live.dataset.pages ?? 0) + 1;
      if (!data.is_whole) return;
      state(`Computed in ${data.seconds < 10 ? data.seconds.toFixed(2) : Math.round(data.seconds)} s`);
      live.dataset.state = "whole";
      if (location.hash && !live.dataset.found) {
        live.dataset.found = "yes";
        at(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
      }
    },
    fault: (data) => fault(data.sentence),
    download: (data) => {
      const address = URL.createObjectURL(new Blob([data.page], { type: "text/html" }));
      make("a", { href: address, download: `${data.name}.html` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 1000);
    },
  };
  at("controls").addEventListener("submit", (event) => event.preventDefault());
  at("again").addEventListener("click", () => (fault(""), state("Computing"), say({ kind: "again" })));
  at("download").addEventListener("click", () => say({ kind: "download" }));
  at("reset").addEventListener("click", () => {
    for (const name of Object.keys(asked)) delete asked[name];
    remember();
    fault("");
    say({ kind: "ask", values: asked });
  });

  const reply = await fetch("/kernels", { method: "POST" });
  const given = await reply.json();
  if (!given.kernel) return fault(given.sentence);
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/kernels/${given.kernel}/channels?session_id=${session}`);
  socket.addEventListener("open", () =>
    send("comm_open", { comm_id: comm, target_name: "launchpad", data: { name: live.dataset.name, query: location.search } }),
  );
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.msg_type === "comm_msg" && message.content.comm_id === comm) heard[message.content.data.kind]?.(message.content.data);
  });
  socket.addEventListener("close", () => fault("This page is closed, as it was idle or the app was ended; load it again."));
})().catch(() => {
  const place = document.getElementById("fault");
  place.textContent = "The app does not answer; load the page again.";
  place.hidden = false;
});
