// @ts-check
/** The laptop finder: steps, live ranking, result, sharing; every real interaction is tracked through tracking.js. */

import { rank } from "./laptops.js";
import { Tracker } from "./tracking.js";

const QUIZ = "laptop";
const STEPS = ["intro", "use", "priority", "budget", "size", "result"];
const QUESTIONS = ["use", "priority", "pen"];
/** @type {Record<string, (value: number) => string>} */
const SHOWN = {
  budget: (value) => `€${value.toLocaleString("en")}`,
  battery: (value) => `${value} hours`,
  screen: (value) => `${value}″`,
};

/**
 * @template {Element} [T=HTMLElement]
 * @param {string} selector
 * @returns {T}
 */
function the(selector) {
  const found = document.querySelector(selector);
  if (!found) throw new Error(`${selector} is not on the page`);
  return /** @type {T} */ (/** @type {unknown} */ (found));
}

/** @type {import("./laptops.js").Answers} */
const answers = { budget: 1400, battery: 11, screen: 14 };
let step = "intro";
let interactions = 0;
let startedAt = 0;
let entry = "start";
/** What the result was shown for, so that going back and forth counts once. */
let completedFor = "";

const tracker = new Tracker({ featureId: "configurator", appVersion: "1.0.0", onStatus: showStatus });
Object.assign(globalThis, { tracker }); // for the curious in the console, and for tests

/* ---------- steps ---------- */

/** @param {string} to */
function go(to) {
  step = to;
  for (const section of document.querySelectorAll("[data-step]")) {
    const isShown = section.getAttribute("data-step") === to;
    section.toggleAttribute("hidden", !isShown);
    if (isShown) /** @type {HTMLElement | null} */ (section.querySelector("h1, h2"))?.focus({ preventScroll: true });
  }
  const index = STEPS.indexOf(to);
  document.body.dataset.at = to;
  the("#steps").hidden = to === "intro" || to === "result";
  the("#progress").hidden = to === "intro";
  the("#next").textContent = to === "size" ? "Show my laptop" : "Next";
  the("#missing").textContent = "";
  document.querySelectorAll("#progress li").forEach((item, at) => {
    item.classList.toggle("done", at + 1 < index);
    if (at + 1 === index) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
  document.title = to === "result" ? `${best().laptop.name} fits your days` : "Find the laptop that fits your days";
  scrollTo({ top: 0 });
}

function start() {
  startedAt = performance.now();
  interactions = 0;
  completedFor = "";
  tracker.track("quiz_started", { quiz_id: QUIZ, entry });
  go("use");
}

function next() {
  const question = step === "size" ? "pen" : step;
  if (QUESTIONS.includes(question) && !answers[/** @type {"use"} */ (question)]) {
    the("#missing").textContent = "Choose one to go on";
    /** @type {HTMLInputElement} */ (the(`input[name="${question}"]`)).focus();
    return;
  }
  if (step === "size") complete();
  else go(/** @type {string} */ (STEPS[STEPS.indexOf(step) + 1]));
}

function complete() {
  const key = JSON.stringify(answers);
  const isNew = key !== completedFor;
  completedFor = key;
  if (isNew) tracker.track("quiz_completed", { quiz_id: QUIZ, interactions, duration_ms: Math.round(performance.now() - startedAt) });
  showResult();
  if (isNew) tracker.track("result_viewed", { quiz_id: QUIZ, result: best().laptop.id, score: rounded(best().score) });
}

/* ---------- the field and the drawing ---------- */

function best() {
  return /** @type {import("./laptops.js").Fit} */ (rank(answers)[0]);
}

/** @param {number} score */
const rounded = (score) => Math.round(score * 100) / 100;

function draw() {
  const fits = rank(answers).slice(0, 5);
  const field = the("#field");
  field.replaceChildren(
    ...fits.map(({ laptop, score }) => {
      const item = document.createElement("li");
      const name = document.createElement("span");
      name.textContent = laptop.name;
      const percent = document.createElement("b");
      percent.textContent = `${Math.round(score * 100)}%`;
      const bar = document.createElement("i");
      bar.style.setProperty("--share", String(score));
      item.append(name, percent, bar);
      return item;
    }),
  );
  const shown = step === "result" ? best().laptop.screen : answers.screen;
  const scale = 0.78 + ((shown - 12) / 5) * 0.24;
  the("#body").style.setProperty("--size", scale.toFixed(3));
  const laptop = /** @type {import("./laptops.js").Fit} */ (fits[0]).laptop;
  the("#field-title").textContent = step === "result" ? "How the others did" : "The field so far";
  const drawing = the("#laptop");
  drawing.dataset.tone = laptop.tone;
  drawing.setAttribute("aria-label", `Drawing of a ${shown} inch laptop${answers.pen === "pen" ? " with a pen" : ""}`);
  the("#pen").classList.toggle("shown", answers.pen === "pen");
  for (const [name, text] of Object.entries(SHOWN)) {
    const input = /** @type {HTMLInputElement} */ (the(`#${name}`));
    const value = answers[/** @type {"budget"} */ (name)];
    the(`#${name}-out`).textContent = text(value);
    input.value = String(value);
    input.setAttribute("aria-valuetext", text(value));
    input.style.setProperty("--fill", String((value - Number(input.min)) / (Number(input.max) - Number(input.min))));
  }
  for (const question of QUESTIONS) {
    for (const input of document.querySelectorAll(`input[name="${question}"]`)) {
      const radio = /** @type {HTMLInputElement} */ (input);
      radio.checked = radio.value === answers[/** @type {"use"} */ (question)];
    }
  }
}

function showResult() {
  const { laptop, score, reasons } = best();
  the("#result-kicker").textContent = `Fits you to ${Math.round(score * 100)}%`;
  the("#result-name").textContent = laptop.name;
  the("#result-line").textContent = laptop.line;
  the("#result-facts").replaceChildren(
    ...Object.entries({
      Price: `€${laptop.price.toLocaleString("en")}`,
      Weight: `${(laptop.weight / 1000).toFixed(2)} kg`,
      Battery: `${laptop.battery} h`,
      Screen: `${laptop.screen}″`,
    }).map(([term, fact]) => {
      const pair = document.createElement("div");
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = term;
      dd.textContent = fact;
      pair.append(dt, dd);
      return pair;
    }),
  );
  the("#result-reasons").replaceChildren(
    ...reasons.map((reason) => {
      const item = document.createElement("li");
      item.textContent = reason.text;
      item.classList.toggle("but", reason.isBut);
      return item;
    }),
  );
  const mail = /** @type {HTMLAnchorElement} */ (the("#share-mail"));
  mail.href = `mailto:?subject=${encodeURIComponent(`${laptop.name} fits my days`)}&body=${encodeURIComponent(link())}`;
  the("#share-native").hidden = typeof navigator.share !== "function";
  the("#share-said").textContent = "";
  history.replaceState(null, "", `#${hash()}`);
  go("result");
  draw();
}

/* ---------- sharing ---------- */

function hash() {
  return new URLSearchParams(Object.entries(answers).map(([name, value]) => [name, String(value)])).toString();
}

function link() {
  return `${location.origin}${location.pathname}#${hash()}`;
}

/** @param {string} channel */
function shared(channel) {
  tracker.track("result_shared", { quiz_id: QUIZ, result: best().laptop.id, channel });
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(link());
    the("#share-said").textContent = "The link is copied.";
  } catch {
    // No permission or no secure context: the link is shown to be copied by hand.
    the("#share-said").textContent = link();
  }
  shared("link");
}

async function shareNative() {
  try {
    await navigator.share({ title: document.title, url: link() });
    shared("native");
  } catch {
    the("#share-said").textContent = "Not shared.";
  }
}

/** A shared link shows its result at once; values that make no sense are left out. */
function readLink() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!given.has("use")) return false;
  for (const name of Object.keys(SHOWN)) {
    const input = /** @type {HTMLInputElement} */ (the(`#${name}`));
    const value = Number(given.get(name));
    if (given.has(name) && value >= Number(input.min) && value <= Number(input.max)) answers[/** @type {"budget"} */ (name)] = value;
  }
  for (const question of QUESTIONS) {
    const value = given.get(question);
    const known = [...document.querySelectorAll(`input[name="${question}"]`)].some((input) => /** @type {HTMLInputElement} */ (input).value === value);
    if (value && known) answers[/** @type {"use"} */ (question)] = value;
  }
  return QUESTIONS.every((question) => answers[/** @type {"use"} */ (question)]);
}

/* ---------- status and consent ---------- */

/** @type {ReturnType<typeof setTimeout> | undefined} */
let bannerTimer;
let wasOffline = false;

/** @param {import("./tracking.js").Status} status */
function showStatus({ isOnline, pending }) {
  const banner = the("#banner");
  clearTimeout(bannerTimer);
  if (!isOnline) {
    wasOffline = true;
    const waiting = pending === 0 ? "Your answers are kept." : `Your answers are kept; ${pending} ${pending === 1 ? "event waits" : "events wait"} to be sent.`;
    banner.textContent = `You are offline. Carry on. ${waiting}`;
    banner.dataset.kind = "offline";
    banner.hidden = false;
  } else if (wasOffline && pending > 0) {
    banner.textContent = "Back online. Sending what waited.";
    banner.dataset.kind = "online";
    banner.hidden = false;
  } else if (wasOffline) {
    wasOffline = false;
    banner.textContent = "Back online. Everything is sent.";
    banner.dataset.kind = "online";
    banner.hidden = false;
    bannerTimer = setTimeout(() => {
      banner.hidden = true;
    }, 4000);
  } else if (banner.dataset.kind !== "online") {
    banner.hidden = true;
  }
}

/** @param {"granted" | "denied"} decision */
function decide(decision) {
  tracker.setConsent(decision);
  the("#consent").hidden = true;
}

/* ---------- wiring ---------- */

the("#start").addEventListener("click", start);
the("#next").addEventListener("click", next);
the("#back").addEventListener("click", () => go(/** @type {string} */ (STEPS[STEPS.indexOf(step) - 1])));
the("#restart").addEventListener("click", () => {
  for (const question of QUESTIONS) delete answers[/** @type {"use"} */ (question)];
  entry = entry === "shared_link" ? entry : "restart";
  history.replaceState(null, "", location.pathname);
  start();
  draw();
});
the("#share-link").addEventListener("click", () => void copyLink());
the("#share-native").addEventListener("click", () => void shareNative());
the("#share-mail").addEventListener("click", () => shared("mail"));
the("#grant").addEventListener("click", () => decide("granted"));
the("#deny").addEventListener("click", () => decide("denied"));

for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    next();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      next();
    }
  });
}

for (const group of document.querySelectorAll("[data-question]")) {
  const question = /** @type {string} */ (group.getAttribute("data-question"));
  group.addEventListener("change", (event) => {
    const option = /** @type {HTMLInputElement} */ (event.target).value;
    answers[/** @type {"use"} */ (question)] = option;
    interactions += 1;
    tracker.track("option_selected", { quiz_id: QUIZ, question, option });
    the("#missing").textContent = "";
    draw();
  });
}

for (const name of Object.keys(SHOWN)) {
  const input = /** @type {HTMLInputElement} */ (the(`#${name}`));
  const key = /** @type {"budget"} */ (name);
  let previous = answers[key];
  input.addEventListener("input", () => {
    answers[key] = Number(input.value);
    draw();
  });
  input.addEventListener("change", () => {
    interactions += 1;
    tracker.track("slider_adjusted", { quiz_id: QUIZ, slider: name, value: answers[key], previous_value: previous });
    previous = answers[key];
  });
}

the("#consent").hidden = tracker.consent !== "unknown";
// The steps' buttons stand above the question about consent, never behind it.
new ResizeObserver(() => document.body.style.setProperty("--consent", `${the("#consent").offsetHeight}px`)).observe(the("#consent"));
if (readLink()) {
  entry = "shared_link";
  completedFor = JSON.stringify(answers);
  showResult();
  tracker.track("result_viewed", { quiz_id: QUIZ, result: best().laptop.id, score: rounded(best().score) });
} else {
  document.body.dataset.at = "intro";
}
draw();
if ("serviceWorker" in navigator) navigator.serviceWorker.register("sw.js").catch(() => undefined);
