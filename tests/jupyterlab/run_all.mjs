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
await page.goto(url.href);
await page.waitForSelector(".jp-Notebook .jp-CodeCell", { timeout: 60_000 });
await page.waitForFunction(() => document.querySelector('.jp-Notebook-ExecutionIndicator[data-status="idle"]'),
  null, { timeout: 60_000 });
await page.screenshot({ path: `${folder}/opened.png` });
await page.click("text=Run >> nth=0");
await page.click("text=Run All Cells >> nth=0");

// Every code cell must be asked to run: a dialog in the way would leave all of them untouched.
await page.waitForFunction(() => [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")]
  .every((prompt) => prompt.textContent.trim() !== "[ ]:"), null, { timeout: 30_000 });

let shots = 0;
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
  if (busy && shots < 20 && Date.now() % 5 === 0) {
    await page.screenshot({ path: `${folder}/running-${shots++}.png` });
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
console.log(`${cells.length} code cells ran without an error`);
