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
  const unpackedSpecs = () => unpacked(document.getElementById("page_specs")).json();
  const specs = await unpackedSpecs();
  // The rows of each chart, made when somebody asks for them: a table, and a file that lies in the page.
  const made = (name, properties, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const dated = (value) => String(value).slice(0, 19).replace("T", " ").replace(/ 00:00(:00)?$/, "");
  const shown = (value, kind) => {
    if (value === null || value === undefined || value === "") return "–";
    if (kind === "date") return dated(value);
    if (typeof value !== "number") return String(value);
    return (kind === "percent" ? `${(100 * value).toFixed(1)} %` : Number(value.toPrecision(6)).toLocaleString("en-US")).replace("-", "−");
  };
  // A spreadsheet would run what begins like a formula; a number may begin with a minus.
  const field = (value, kind) => {
    if (value === null || value === undefined) return "";
    const text = kind === "date" ? dated(value) : String(value);
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const csv = (columns, rows) =>
    [columns.map(([, head]) => field(head)), ...rows.map((row) => columns.map(([name, , kind]) => field(row[name], kind)))].map((line) => `${line.join(",")}\r\n`).join("");
  const mostRows = 500;
  const rowsOf = (spec, title) =>
    spec.usermeta.tables.flatMap(({ data, columns }, place) => {
      const rows = spec.data[data].values;
      const isNumber = columns.map(([name]) => rows.some((row) => typeof row[name] === "number"));
      const cells = (tag, texts, extra) => texts.map((text, k) => made(tag, { textContent: text, className: isNumber[k] ? "num" : "", ...extra }));
      const head = made("thead", {}, made("tr", {}, ...cells("th", columns.map(([, head]) => head), { scope: "col" })));
      const body = made("tbody", {}, ...rows.slice(0, mostRows).map((row) => made("tr", {}, ...cells("td", columns.map(([name, , kind]) => shown(row[name], kind)), {}))));
      const told = `${title}${rows.length > mostRows ? `; the first ${mostRows} of ${rows.length} rows, the file has all` : ""}`;
      const named = title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60) || "chart";
      const href = URL.createObjectURL(new Blob([csv(columns, rows)], { type: "text/csv;charset=utf-8" }));
      const link = made("a", { href, download: `${named}${place ? `-${place + 1}` : ""}.csv`, textContent: "Download as CSV" });
      const scroll = made("div", { className: "scroll", tabIndex: 0, role: "group", ariaLabel: `rows: ${title}` }, made("table", {}, made("caption", { textContent: told }), head, body));
      return [made("p", {}, link), scroll];
    });
  for (const [number, figure] of figures.entries()) {
    if (!specs[number].usermeta?.tables?.length) continue;
    const fold = made("details", { className: "data rows" }, made("summary", { textContent: "Data of this chart" }));
    const title = (figure.getAttribute("aria-label") ?? "").replace(/^chart: /, "");
    // Drawing changes the rows that it is given, so they are unpacked once more.
    fold.addEventListener("toggle", async () => fold.append(...rowsOf((await unpackedSpecs())[number], title)), { once: true });
    figure.after(fold);
  }
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
  const draw = async (number) => {
    const [figure, spec] = [figures[number], specs[number]];
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
      place.setAttribute("role", "img");
      place.setAttribute("aria-label", figure.querySelector(".picture").getAttribute("aria-label"));
      if (isWide) window.addEventListener("resize", () => view.width(figure.clientWidth).runAsync());
    } catch (error) {
      place.replaceChildren();
      console.warn("this chart stays a picture:", error);
    }
  };
  // A file of several pages draws the charts of each when it is opened.
  const waiting = new Set(figures.keys());
  const drawShown = async () => {
    for (const link of document.querySelectorAll('.pages a[href^="#page-"]')) {
      const page = document.getElementById(link.getAttribute("href").slice(1));
      if (getComputedStyle(page).display === "none") link.removeAttribute("aria-current");
      else link.setAttribute("aria-current", "page");
    }
    for (const number of [...waiting]) {
      const page = figures[number].closest(".page");
      if (page && getComputedStyle(page).display === "none") continue;
      waiting.delete(number);
      await draw(number);
    }
  };
  await drawShown();
  window.addEventListener("hashchange", drawShown);
  performance.mark("drawn");
  document.documentElement.dataset.drawn = "yes";
})().catch((error) => console.warn("charts stay pictures:", error));
