// Unpacks the drawing library that lies in this page and replaces each picture by its interactive chart.
// Whatever fails, the picture stays.
(async () => {
  const packed = document.getElementById("library");
  const figures = [...document.querySelectorAll("figure.chart")];
  if (!packed || !figures.length || !("DecompressionStream" in window)) return;
  const unpacked = (element) => {
    const bytes = Uint8Array.from(atob(element.textContent.trim()), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
  };
  const specs = await unpacked(document.getElementById("specs")).json();
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
  for (const [number, figure] of figures.entries()) {
    const spec = specs[number];
    const place = figure.querySelector(".live");
    const room = figure.clientWidth;
    // A narrow page gets a narrower chart with the same height, not a shrunken one with unreadable text.
    if (typeof spec.width === "number" && room > 0 && room < spec.width + 120) spec.width = "container";
    if (spec.width === "container") spec.autosize = { type: "fit-x", contains: "padding" };
    await window.vegaEmbed(place, spec, { renderer: "svg", actions: false, ast: false, loader: { load: () => Promise.reject(new Error("no network")) } });
    figure.classList.add("drawn");
  }
  performance.mark("drawn");
  document.documentElement.dataset.drawn = "yes";
})().catch((error) => console.warn("charts stay pictures:", error));
