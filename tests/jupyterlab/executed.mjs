// Tests that the executed notebook of a trial shows its outputs when it is opened, without a run.
//
//   node executed.mjs URL_WITH_TOKEN SCREENSHOT_FOLDER

import { errors, expect, visit } from "./page.mjs";

const [address, folder] = process.argv.slice(2);

await visit(address, "executed.ipynb", folder, async (page, shot) => {
  const cell = (number) => page.locator(".jp-CodeCell").nth(number - 1);
  const output = (number) => cell(number).locator(".jp-OutputArea-output");

  // cell 1: the defaults; cell 2: the values of this trial; cell 3: text; cell 4: a table;
  // cell 5: a figure; cell 6: an error that is allowed.
  const count = await page.locator(".jp-CodeCell").count();
  expect(count === 6, `${count} code cells`);
  const values = await cell(2).locator(".cm-content").textContent();
  expect(values.includes("let x: i64 = 3;"), `the trial's values are missing: ${values}`);
  const text = await output(3).textContent();
  expect(text.trim() === "trial of 3", `the text is ${text}`);

  const rows = await output(4).locator("table tbody tr").allTextContents();
  expect(rows.length === 3 && rows[2].includes("9"), `the table's rows are ${rows}`);

  // JupyterLab did not run the notebook, so it trusts none of its scripts. The figure must show
  // without them.
  const figure = output(5).locator("img, svg").first();
  await figure.scrollIntoViewIfNeeded();
  const loaded = await figure.evaluate((element) =>
    element.tagName !== "IMG" || (element.complete && element.naturalWidth > 0));
  const { width, height } = await figure.boundingBox();
  expect(loaded && width > 200 && height > 150, `the figure is ${width} x ${height}`);

  const failures = await errors(page);
  expect(failures.length === 1 && failures[0].startsWith("ParseIntError"), `errors: ${failures}`);
  const shown = await output(6).textContent();
  expect(shown.includes("invalid digit found in string"), `the error shows as ${shown}`);
  await shot("figure");
  await cell(1).scrollIntoViewIfNeeded();
  await shot("executed");
  console.log(`text, ${rows.length} rows, a figure of ${width} x ${height} and an error are in place`);
});
