// Runs all cells of first_light.ipynb, and tests its table, its figure and its progress bar.
//
//   node first_light.mjs URL_WITH_TOKEN SCREENSHOT_FOLDER [SECONDS]

import { errors, expect, visit } from "./page.mjs";

const [address, folder, seconds = "840"] = process.argv.slice(2);
const deadline = Date.now() + Number(seconds) * 1000;

await visit(address, "first_light.ipynb", folder, async (page, shot) => {
  await page.click("text=Run >> nth=0");
  await page.click("text=Run All Cells >> nth=0");

  // Every code cell must be queued; if a dialog is in the way, none is.
  await page.waitForFunction(() => [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")]
    .every((prompt) => prompt.textContent.trim() !== "[ ]:"), null, { timeout: 30_000 });

  // Record the values of the running cell's progress bar.
  const values = [];
  let shots = 0;
  let nextShot = 0;
  for (let quiet = 0; quiet < 3;) {
    expect(Date.now() < deadline, `the kernel was still busy after ${seconds} s`);
    await page.waitForTimeout(500);
    const busy = await page.evaluate(() =>
      [...document.querySelectorAll(".jp-InputPrompt")].some((prompt) => prompt.textContent.includes("[*]")));
    quiet = busy ? 0 : quiet + 1;
    const bar = busy ? (await page.$$(".jp-OutputArea progress")).at(-1) : undefined;
    if (!bar) continue;
    values.push(await bar.evaluate((element) => element.value).catch(() => undefined));
    if (shots < 10 && Date.now() > nextShot) {
      await bar.scrollIntoViewIfNeeded().catch(() => {});
      await shot(`running-${shots++}`);
      nextShot = Date.now() + 4000;
    }
  }

  const cells = await page.$$(".jp-CodeCell");
  for (const [index, cell] of cells.entries()) {
    await cell.scrollIntoViewIfNeeded();
    await cell.screenshot({ path: `${folder}/cell-${index + 1}.png` });
  }
  const shown = (selector) => page.$$eval(`.jp-OutputArea ${selector}`, (elements) => elements.length);
  const failures = await errors(page);
  expect(failures.length === 0, failures.join("\n"));
  expect(await shown("table") > 0, "no cell shows a table");
  expect(await shown("svg, .jp-OutputArea img") > 0, "no cell shows a figure");
  expect(new Set(values).size > 1, `the progress bar did not move: ${values.join(" ")}`);
  console.log(`${cells.length} code cells ran; progress bars moved: ${values.join(" ")}`);
});
