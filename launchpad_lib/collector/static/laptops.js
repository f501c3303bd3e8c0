// @ts-check
/** The products and how well each fits a set of answers. Pure: no page, no clock. */

/**
 * @typedef {object} Laptop
 * @property {string} id
 * @property {string} name
 * @property {string} line
 * @property {number} price in euro
 * @property {number} weight in grams
 * @property {number} battery in hours
 * @property {number} screen in inches
 * @property {number} power 0 to 1
 * @property {boolean} pen
 * @property {string} tone hue of the drawing
 */

/**
 * @typedef {object} Answers
 * @property {string} [use]
 * @property {string} [priority]
 * @property {string} [pen]
 * @property {number} budget
 * @property {number} battery
 * @property {number} screen
 */

/** @typedef {{ text: string, isBut: boolean }} Reason `isBut`: what speaks against it */

/** @typedef {{ laptop: Laptop, score: number, reasons: Reason[] }} Fit */

/** @type {Laptop[]} */
export const LAPTOPS = [
  { id: "feather_13", name: "Feather 13", line: "Less than a kilo, and never in the way.", price: 1290, weight: 980, battery: 14, screen: 13, power: 0.58, pen: false, tone: "dawn" },
  { id: "atlas_14", name: "Atlas 14", line: "Good at everything, loud about nothing.", price: 1090, weight: 1240, battery: 15, screen: 14, power: 0.68, pen: false, tone: "noon" },
  { id: "quill_13", name: "Quill 13", line: "Folds flat and takes the pen like paper.", price: 1190, weight: 1260, battery: 12, screen: 13.5, power: 0.6, pen: true, tone: "meadow" },
  { id: "pebble_14", name: "Pebble 14", line: "Does the work, costs a week of groceries less.", price: 590, weight: 1480, battery: 10, screen: 14, power: 0.4, pen: false, tone: "meadow" },
  { id: "marathon_14", name: "Marathon 14", line: "Leave the charger at home.", price: 1490, weight: 1360, battery: 22, screen: 14, power: 0.7, pen: false, tone: "noon" },
  { id: "ember_15", name: "Ember 15", line: "Quiet by day, a beast after dinner.", price: 1790, weight: 2150, battery: 7, screen: 15.5, power: 0.92, pen: false, tone: "dusk" },
  { id: "forge_16", name: "Forge 16", line: "Builds, renders and exports while you blink.", price: 2390, weight: 1890, battery: 12, screen: 16, power: 0.95, pen: false, tone: "dusk" },
  { id: "atelier_16", name: "Atelier 16", line: "A studio that fits under an arm, pen included.", price: 2790, weight: 1980, battery: 10, screen: 16, power: 0.97, pen: true, tone: "dawn" },
];

/** How much each use asks of power, lightness and battery. @type {Record<string, [number, number, number]>} */
const USES = { travel: [0.2, 1, 0.8], study: [0.3, 0.7, 0.6], create: [0.9, 0.3, 0.3], code: [0.85, 0.4, 0.6], play: [1, 0, 0.05] };

/** @type {Record<string, string>} */
const USE_WORDS = { travel: "travel", study: "study and writing", create: "creative work", code: "code", play: "games" };

/** @param {number} value */
const within = (value) => Math.min(1, Math.max(0, value));

/**
 * Every laptop with its fit, best first. A fit is the weighted mean of what was asked; money over the budget counts double.
 * @param {Answers} answers
 * @returns {Fit[]}
 */
export function rank(answers) {
  return LAPTOPS.map((laptop) => fit(laptop, answers)).sort((a, b) => b.score - a.score || a.laptop.price - b.laptop.price);
}

/** @param {Laptop} laptop @param {Answers} answers @returns {Fit} */
function fit(laptop, answers) {
  const light = within((2300 - laptop.weight) / 1300);
  const lasting = within((laptop.battery - 6) / 14);
  const value = within((2800 - laptop.price) / 2200);
  const affordable = laptop.price <= answers.budget ? 1 : within(1 - (laptop.price - answers.budget) / 500);
  const runs = laptop.battery >= answers.battery ? 1 : within(1 - (answers.battery - laptop.battery) / 6);
  const sized = within(1 - Math.abs(laptop.screen - answers.screen) / 3);
  /** @type {[number, number][]} */
  const parts = [[affordable, 2], [runs, 1], [sized, 1]];
  const use = USES[answers.use ?? ""];
  if (use) {
    const [power, carry, hours] = use;
    parts.push([(power * laptop.power + carry * light + hours * lasting) / (power + carry + hours), 2]);
  }
  const priority = { light, fast: laptop.power, cheap: value, lasting }[answers.priority ?? ""];
  if (priority !== undefined) parts.push([priority, 2]);
  if (answers.pen) parts.push([answers.pen === "pen" ? Number(laptop.pen) : laptop.pen ? 0.7 : 1, 1.2]);
  const score = parts.reduce((sum, [value, weight]) => sum + value * weight, 0) / parts.reduce((sum, [, weight]) => sum + weight, 0);

  const pros = [];
  const cons = [];
  const euro = (/** @type {number} */ amount) => `€${amount.toLocaleString("en")}`;
  if (laptop.price < answers.budget) pros.push(`${euro(answers.budget - laptop.price)} under your budget`);
  else if (laptop.price === answers.budget) pros.push("Exactly your budget");
  else cons.push(`But ${euro(laptop.price - answers.budget)} over your budget`);
  if (laptop.battery >= answers.battery) pros.push(`Runs ${laptop.battery} hours, you asked for ${answers.battery}`);
  else cons.push(`But ${laptop.battery} hours of battery, you asked for ${answers.battery}`);
  if (answers.priority === "light" && laptop.weight < 1400) pros.push(`Only ${(laptop.weight / 1000).toFixed(2)} kg in the bag`);
  if (answers.priority === "fast" && laptop.power > 0.8) pros.push("Among the fastest of the field");
  if (answers.pen === "pen" && laptop.pen) pros.push("The pen is in the box");
  else if (answers.pen === "pen") cons.push("But it takes no pen");
  if (Math.abs(laptop.screen - answers.screen) <= 0.5) pros.push(`A ${laptop.screen}″ screen, as you like it`);
  if (use && laptop.power >= 0.55) pros.push(`Strong enough for ${USE_WORDS[answers.use ?? ""]}`);
  const reasons = [...pros.slice(0, 4).map((text) => ({ text, isBut: false })), ...cons.map((text) => ({ text, isBut: true }))];
  return { laptop, score, reasons };
}
