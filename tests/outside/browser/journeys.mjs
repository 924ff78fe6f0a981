// What newcomers do with the pages of a server, in a real browser: node journeys.mjs PACKAGES SERVER FOLDER
// PACKAGES has playwright-core and axe-core, FOLDER has the flows.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const [packages, server, folder] = process.argv.slice(2);
const require = createRequire(`${packages}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const flags = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: flags.split(" ") });
const troubles = [];

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && troubles.push(message.text()));
  page.on("pageerror", (error) => troubles.push(error.message));
  page.on("dialog", (dialog) => troubles.push(`a dialog opened: ${dialog.message()}`));
  return page;
}

const state = (page) => page.locator("h1 .badge").innerText();

// Why did last night's run fail, what does that affect, and how is it done again?
async function findAndRetry() {
  const page = await open();
  await page.goto(server);
  await page.locator("section.bad", { hasText: "Needs attention" }).getByRole("link", { name: /^[0-9a-f]{8}-/ }).click();
  assert.match(await state(page), /failed/);
  const wrong = page.locator("section.bad");
  assert.match(await wrong.innerText(), /check `no debts` \(1 row\) failed/);
  assert.match(await wrong.innerText(), /-5/, "a row that broke the check is shown");
  assert.equal(await wrong.getByRole("link", { name: "report.best" }).count(), 1, "the reader in another flow is named");
  writeFileSync(`${folder}/flows/orders.csv`, readFileSync(`${folder}/flows/orders.csv`, "utf8").replace("-5.5", "5.5"));
  await wrong.getByText("Retry…").click();
  await wrong.getByRole("button", { name: "Start the retry" }).click();
  await page.waitForFunction(() => /succeeded/.test(document.querySelector("h1 .badge").innerText));
  assert.equal(await page.locator("dl.facts dt", { hasText: "Retry of" }).count(), 1);
  await page.goto(server);
  assert.equal(await page.getByText("Nothing needs you").count(), 1, "what was cured is not told any more");
}

// Where does a number come from?
async function followColumn() {
  const page = await open();
  await page.goto(`${server}/datasets`);
  await page.getByLabel("Dataset or column contains").fill("total");
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: "shop.totals", exact: true }).click();
  await page.getByRole("link", { name: "total", exact: true }).click();
  const from = page.getByRole("region", { name: "Comes from" });
  assert.match(await from.innerText(), /shop\.clean\.amount\s+aggregated/);
  assert.match(await from.innerText(), /raw_orders\.amount\s+as it is/);
  assert.ok((await page.locator("path.edge.direct.lit").count()) >= 2, "the way lights up");
  assert.ok((await page.locator("path.edge.indirect").count()) >= 1, "what groups is dashed");
  await page.locator("svg").getByRole("link", { name: /raw_orders.amount/ }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/raw_orders.*column=amount/);
  const affected = page.getByRole("region", { name: "What a change would affect" });
  assert.match(await affected.innerText(), /report\.best\.total/);
}

// It takes too long: watch it, and stop it.
async function cancel() {
  const page = await open();
  await page.goto(`${server}/flows/slow`);
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForURL(/\/runs\//);
  await page.waitForFunction(() => /running/.test(document.querySelector("table.gantt").innerText));
  await page.getByRole("link", { name: "wait", exact: true }).first().click();
  await page.getByText("<b>still here</b>").first().waitFor();
  const lines = await page.locator(".log li").count();
  await page.waitForFunction((lines) => document.querySelectorAll(".log li").length > lines, lines);
  assert.equal(await page.locator(".log b").count(), 0, "what a task says is text");
  await page.goBack();
  await page.getByText("Cancel…").click();
  await page.getByRole("button", { name: "Cancel this run" }).click();
  await page.waitForFunction(() => /cancelled/.test(document.querySelector("h1 .badge").innerText));
}

// Everybody can use every page: keyboards, screen readers, dark rooms, phones.
async function everybody() {
  const looks = [{ colorScheme: "light" }, { colorScheme: "dark" }, { viewport: { width: 390, height: 800 } }];
  const home = await open();
  await home.goto(`${server}/runs?state=failed`);
  const failed = await home.getByRole("link", { name: /^[0-9a-f]{8}-/ }).first().getAttribute("href");
  const paths = ["/", "/flows", "/flows/shop", "/runs", failed, `${failed}/tasks/clean`, `${failed}/events`, "/datasets",
    "/datasets/shop.totals", "/lineage/shop.totals?column=total", "/workers", "/limits", "/events", "/login", "/nowhere"];
  for (const look of looks) {
    // The check is put into pages that take no scripts of others.
    const page = await open({ ...look, bypassCSP: true });
    for (const path of paths) {
      await page.goto(server + path);
      await page.addScriptTag({ content: axe });
      const { violations } = await page.evaluate(() => axe.run());
      const serious = violations.filter((it) => ["serious", "critical"].includes(it.impact));
      assert.deepEqual(serious.map((it) => `${it.id}: ${it.nodes[0].html}`), [], `${path} ${JSON.stringify(look)}`);
      const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(beyond, 0, `${path} is wider than the window ${JSON.stringify(look)}`);
    }
    await page.context().close();
  }
  await home.goto(server);
  await home.keyboard.press("Tab");
  assert.equal(await home.evaluate(() => document.activeElement.innerText), "Skip to content");
  await home.keyboard.press("Enter");
  assert.equal(await home.evaluate(() => document.activeElement.id), "main");
}

for (const journey of [findAndRetry, followColumn, cancel, everybody]) {
  const began = Date.now();
  await journey();
  console.log(`${journey.name} ${Date.now() - began} ms`);
}
await browser.close();
// Pages that are not there answer 404, which a browser tells as an error.
assert.deepEqual(troubles.filter((it) => !it.includes("404")), []);
