// Opens a notebook in JupyterLab in headless Chromium, runs all cells and takes screenshots.
//
//   node run_all.mjs URL_WITH_TOKEN NOTEBOOK SCREENSHOT_FOLDER [SECONDS]
//
// Needs the npm package playwright-core and Debian's chromium. Exits 1 when the kernel does not
// become idle in time or a cell shows an error.

import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";

const [address, notebook, folder, seconds = "600"] = process.argv.slice(2);
const deadline = Date.now() + Number(seconds) * 1000;
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run"],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 1600 } });
const url = new URL(address);
url.pathname = `/lab/tree/${notebook}`;
// Without the tabs of an earlier visit.
url.searchParams.set("reset", "");
await page.goto(url.href);
await page.waitForSelector(".jp-Notebook .jp-CodeCell", { timeout: 60_000 });
// The execution indicator is idle before there is a kernel; the status bar names it.
await page.waitForSelector("text=Rust (offmodel) | Idle", { timeout: 60_000 });
await page.screenshot({ path: `${folder}/opened.png` });
await page.click("text=Run >> nth=0");
await page.click("text=Run All Cells >> nth=0");

// Every code cell must be asked to run: a dialog in the way would leave all of them untouched.
await page.waitForFunction(() => [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")]
  .every((prompt) => prompt.textContent.trim() !== "[ ]:"), null, { timeout: 30_000 });

let shots = 0;
let nextShot = 0;
const values = [];
let quiet = 0;
while (quiet < 3) {
  if (Date.now() > deadline) {
    await page.screenshot({ path: `${folder}/timeout.png` });
    throw new Error(`the kernel was still busy after ${seconds} s`);
  }
  await page.waitForTimeout(1000);
  const busy = await page.evaluate(() =>
    [...document.querySelectorAll(".jp-InputPrompt")].some((prompt) => prompt.textContent.includes("[*]")));
  quiet = busy ? 0 : quiet + 1;
  // The bar of the cell that is running, every two seconds.
  const bar = busy ? (await page.$$(".jp-OutputArea progress")).at(-1) : undefined;
  if (bar && shots < 40 && Date.now() > nextShot) {
    values.push(await bar.evaluate((element) => element.value).catch(() => undefined));
    await bar.scrollIntoViewIfNeeded().catch(() => {});
    await page.screenshot({ path: `${folder}/running-${shots++}.png` });
    nextShot = Date.now() + 2000;
  }
}

const cells = await page.$$(".jp-CodeCell");
for (const [index, cell] of cells.entries()) {
  await cell.scrollIntoViewIfNeeded();
  await cell.screenshot({ path: `${folder}/cell-${index + 1}.png` });
}
const errors = await page.$$eval('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]',
  (outputs) => outputs.map((output) => output.textContent));
await browser.close();
if (errors.length > 0) {
  console.error(errors.join("\n"));
  process.exit(1);
}
if (new Set(values).size > 1) console.log(`progress bars moved: ${values.join(" ")}`);
console.log(`${cells.length} code cells ran without an error`);
