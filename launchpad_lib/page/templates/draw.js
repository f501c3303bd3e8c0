// Unpacks the drawing library that lies in this page and replaces each picture by its interactive chart.
// Whatever fails, the picture stays.
(async () => {
  const here = document.querySelector(".pages [aria-current]");
  if (here) here.closest("ol").scrollLeft = here.offsetLeft - 40;
  const packed = document.getElementById("page_library");
  const figures = [...document.querySelectorAll("figure.chart")];
  if (!packed || !figures.length || !("DecompressionStream" in window)) return;
  // Base 85 (RFC 1924's alphabet with "," for "<"): five characters are four bytes.
  const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";
  const values = new Uint8Array(128);
  for (let i = 0; i < 85; i++) values[alphabet.charCodeAt(i)] = i;
  const unpacked = (element) => {
    const text = element.textContent.trim();
    const bytes = new Uint8Array((text.length / 5) * 4);
    for (let i = 0, at = 0; i < text.length; i += 5, at += 4) {
      let word = 0;
      for (let k = 0; k < 5; k++) word = word * 85 + values[text.charCodeAt(i + k)];
      bytes[at] = word >>> 24;
      bytes[at + 1] = word >>> 16;
      bytes[at + 2] = word >>> 8;
      bytes[at + 3] = word;
    }
    const whole = bytes.subarray(0, bytes.length - Number(element.dataset.padding));
    return new Response(new Blob([whole]).stream().pipeThrough(new DecompressionStream("gzip")));
  };
  const specs = await unpacked(document.getElementById("page_specs")).json();
  const script = await unpacked(packed).blob();
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  await new Promise((done, failed) => {
    const element = document.createElement("script");
    element.src = address;
    element.onload = done;
    element.onerror = failed;
    document.head.append(element);
  });
  URL.revokeObjectURL(address);
  const refuse = () => Promise.reject(new Error("charts load nothing"));
  const tip = document.createElement("table");
  tip.id = "page_tip";
  document.body.append(tip);
  // An axis format of "%" writes six decimals where there is no axis to choose them.
  const readable = (text) => (/^-?\d+\.\d{6}%$/.test(text) ? `${parseFloat(text).toFixed(1)} %` : text);
  const showTip = (_handler, event, _item, value) => {
    tip.hidden = value === null || value === undefined || value === "";
    if (tip.hidden) return;
    const rows = typeof value === "object" ? Object.entries(value).map(([name, of]) => [name.replaceAll("_", " "), readable(String(of))]) : [["", value]];
    tip.replaceChildren(
      ...rows.map((cells) => {
        const row = document.createElement("tr");
        for (const text of cells) row.append(Object.assign(document.createElement("td"), { textContent: String(text) }));
        return row;
      }),
    );
    tip.style.left = `${Math.max(8, Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 8)}px`;
  };
  tip.hidden = true;
  const lines = (text, most) =>
    text.split(" ").reduce((done, word) => {
      const last = done.length - 1;
      if (last >= 0 && done[last].length + word.length < most) done[last] += ` ${word}`;
      else done.push(word);
      return done;
    }, []);
  for (const [number, figure] of figures.entries()) {
    const spec = specs[number];
    const place = figure.querySelector(".live");
    const room = figure.clientWidth;
    // As wide as the text, labels included: a narrow page gets a narrower chart, not a shrunken one with unreadable text.
    const isWide = typeof spec.width === "number" && room > 0;
    if (isWide) {
      spec.width = room;
      spec.autosize = { type: "fit-x", contains: "padding" };
      if (room < 500) {
        spec.config = { ...spec.config, legend: { ...spec.config?.legend, columns: 2 }, axisX: { ...spec.config?.axisX, titleLimit: room - 90 } };
      }
    }
    // Small charts side by side: as many columns as have room to be read.
    const cell = spec.signals?.find((signal) => signal.name === "child_width");
    const isMany = cell !== undefined && spec.layout?.columns > 0 && room > 0;
    if (isMany) {
      spec.layout.columns = Math.max(1, Math.min(spec.layout.columns, Math.floor(room / 200)));
      cell.value = Math.floor(room / spec.layout.columns) - 52;
    }
    const title = spec.title;
    if ((isWide || isMany) && title && title.text !== undefined) {
      title.text = lines([title.text].flat().join(" "), room / 8);
      if (typeof title.subtitle === "string") title.subtitle = lines(title.subtitle, room / 7);
    }
    const loader = { load: refuse, sanitize: refuse, http: refuse, file: refuse };
    try {
      const view = new window.vega.View(window.vega.parse(spec, null, { ast: true }), { expr: window.vega.expressionInterpreter, renderer: "svg", container: place, loader, tooltip: showTip });
      await view.runAsync();
      figure.classList.add("drawn");
      if (isWide) window.addEventListener("resize", () => view.width(figure.clientWidth).runAsync());
    } catch (error) {
      place.replaceChildren();
      console.warn("this chart stays a picture:", error);
    }
  }
  performance.mark("drawn");
  document.documentElement.dataset.drawn = "yes";
})().catch((error) => console.warn("charts stay pictures:", error));
