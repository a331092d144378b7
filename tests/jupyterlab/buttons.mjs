// Tests interrupt and restart in the toolbar, completion by Tab and the tooltip by Shift+Tab.
//
//   node buttons.mjs URL_WITH_TOKEN SCREENSHOT_FOLDER

import { errors, expect, kernelIsIdle, visit } from "./page.mjs";

const [address, folder] = process.argv.slice(2);

await visit(address, "buttons.ipynb", folder, async (page, shot) => {
  const cell = (number) => page.locator(".jp-CodeCell").nth(number - 1);
  const output = (number) => cell(number).locator(".jp-OutputArea");

  /** Runs a cell with Shift+Enter. */
  async function run(number) {
    await cell(number).locator(".cm-content").click();
    await page.keyboard.press("Shift+Enter");
  }

  async function shows(number, text) {
    await output(number).getByText(text).first().waitFor({ timeout: 30_000 }).catch(async () => {
      const found = await output(number).textContent();
      expect(false, `cell ${number} does not show ${text}, but: ${found}`);
    });
  }

  // cell 1: let kept = 5; cell 2: sleeps for ten minutes; cell 3: kept + 1; cell 4: 20 + 2;
  // cell 5 is empty.
  await run(1);
  await run(2);
  await shows(2, "started");
  await page.getByTitle("Interrupt the kernel").first().click();
  await shows(2, "Interrupted");
  await shot("interrupted");
  await run(3);
  await shows(3, "6");

  await cell(5).locator(".cm-content").click();
  await page.keyboard.type("kep");
  await page.keyboard.press("Tab");
  await page.locator(".jp-Completer").getByText("variable").waitFor({ timeout: 30_000 });
  await page.keyboard.press("Enter");
  await page.keyboard.press("Shift+Tab");
  await page.locator(".jp-Tooltip").getByText("kept: i32").waitFor({ timeout: 30_000 });
  await shot("tooltip");
  await page.keyboard.press("Escape");
  // Escape may also take the focus from the editor.
  await cell(5).locator(".cm-content").click();
  await page.keyboard.press("Control+a");
  await page.keyboard.type('df!("score" => [1])?.he');
  await page.keyboard.press("Tab");
  await page.locator(".jp-Completer").getByText("method").first().waitFor({ timeout: 60_000 });
  await shot("completed");
  await page.keyboard.press("Escape");

  await page.getByTitle("Restart the kernel").first().click();
  await page.locator(".jp-Dialog .jp-mod-accept").click();
  await page.waitForTimeout(1000);
  await kernelIsIdle(page);
  await run(4);
  await shows(4, "22");
  await run(3);
  await shows(3, "cannot find value");
  await shot("restarted");
  const failures = await errors(page);
  expect(failures.length === 2, `errors: ${failures.join("\n")}`);
  console.log("interrupt, restart, completion and tooltip work");
});
