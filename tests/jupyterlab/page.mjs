// Opens a notebook in JupyterLab in headless Chromium, for the scenarios.

import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";

// Installed by `.ci/run` outside the checkout, where `import` would not look.
const require = createRequire(`${process.env.OFFMODEL_TEST_NODE}/`);
const { chromium } = require("playwright-core");

/** Opens `notebook` in the JupyterLab at `address` and runs the scenario. Screenshots go into
 * `folder`, with a last one if the scenario fails. */
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

/** Waits for the status bar, because the toolbar's indicator is idle even before there is a kernel. */
export async function kernelIsIdle(page) {
  await page.waitForSelector("text=Rust (offmodel) | Idle", { timeout: 60_000 });
}

/** The errors among the outputs, from the notebook's model: on the page they look like stderr. */
export function errors(page) {
  return page.evaluate(() => {
    const { cells } = window.jupyterapp.shell.currentWidget.content.model.toJSON();
    const outputs = cells.flatMap((cell) => cell.outputs ?? []);
    const failed = outputs.filter((output) => output.output_type === "error");
    return failed.map(({ ename, evalue }) => `${ename}: ${evalue}`);
  });
}

/** Fails the scenario with `message` unless `condition` holds. */
export function expect(condition, message) {
  if (!condition) throw new Error(message);
}
