// A notebook in JupyterLab in headless Chromium, as the tests see it.

import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";

// Installed by `.ci/run` outside the checkout, where `import` would not look.
const require = createRequire(`${process.env.OFFMODEL_TEST_NODE}/`);
const { chromium } = require("playwright-core");

/** Visits `notebook` in the JupyterLab at `address`; screenshots go into `folder`, a last one
 * where the scenario fails. */
export async function visit(address, notebook, folder, scenario) {
  const { browser, page, shot } = await open(address, notebook, folder);
  try {
    await scenario(page, shot);
  } catch (error) {
    await shot("failed");
    throw error;
  } finally {
    await browser.close();
  }
}

async function open(address, notebook, folder) {
  mkdirSync(folder, { recursive: true });
  const browser = await chromium.launch({
    executablePath: process.env.OFFMODEL_TEST_CHROMIUM ?? "/usr/bin/chromium",
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
  await kernelIsIdle(page);
  const shot = (name) => page.screenshot({ path: `${folder}/${name}.png` });
  await shot("opened");
  return { browser, page, shot };
}

/** Waits for the status bar: the indicator in the toolbar is idle before there is a kernel. */
export async function kernelIsIdle(page) {
  await page.waitForSelector("text=Rust (offmodel) | Idle", { timeout: 60_000 });
}

/** The errors among the outputs: on the page they look like any text on the standard error. */
export function errors(page) {
  return page.evaluate(() => {
    const { cells } = window.jupyterapp.shell.currentWidget.content.model.toJSON();
    const outputs = cells.flatMap((cell) => cell.outputs ?? []);
    const failed = outputs.filter((output) => output.output_type === "error");
    return failed.map(({ ename, evalue }) => `${ename}: ${evalue}`);
  });
}

/** Ends the scenario where `fact` does not hold. */
export function expect(fact, words) {
  if (!fact) throw new Error(words);
}
