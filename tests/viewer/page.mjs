// Drives the pages in Chromium as a person would, and prints what is then true of them as one JSON object.
// node page.mjs SCENARIO '{"url", "chromium", "arguments", "clip", "downloads", ...}'

import { chromium } from 'playwright-core';

const POLL_MS = 100;
const [, , scenario, given] = process.argv;
const asked = JSON.parse(given);

const browser = await chromium.launch({ executablePath: asked.chromium, args: asked.arguments });
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' });
  const page = await context.newPage();
  const troubles = await watch(page);
  const told = await { clip, played, webcam, withToken, operator, pictures }[scenario](page);
  troubles.push(...(await page.evaluate(() => globalThis.violations)));
  console.log(JSON.stringify({ ...told, troubles }));
} finally {
  await browser.close();
}

/** Everything that must not happen on any page. */
async function watch(page) {
  const troubles = [];
  await page.addInitScript(() => {
    globalThis.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => {
      globalThis.violations.push(`policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  page.on('console', (message) => {
    if (message.type() === 'error') troubles.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => troubles.push(`error: ${error.stack}`));
  page.on('request', (request) => {
    const own = [asked.url, `blob:${asked.url}`, 'data:'].some((beginning) => request.url().startsWith(beginning));
    if (!own) troubles.push(`elsewhere: ${request.url()}`);
  });
  return troubles;
}

async function clip(page) {
  await page.goto(`${asked.url}/`);
  await drop(page, asked.clip);
  await until(page, () => document.body.dataset.run !== 'running');
  const done = await state(page);
  const lines = await download(page, '#download', 'poses.jsonl');
  const timeline = await painted(page);
  const masks = [];
  for (const number of asked.looked) {
    await show(page, number);
    masks.push(await page.evaluate(() => document.getElementById('mesh').toDataURL()));
  }
  return { done, lines, timeline, masks, keys: await keys(page), theme: await theme(page), phone: await phone(page) };
}

/** What the page does with files whose frames it cannot find by itself: one that is no video, and one that it plays. */
async function played(page) {
  await page.goto(`${asked.url}/`);
  await page.setInputFiles('#file', asked.noClip);
  await until(page, () => document.body.dataset.run === 'failed');
  const refused = await state(page);
  await page.setInputFiles('#file', asked.clip);
  await until(page, () => document.body.dataset.run !== 'running');
  return { refused, done: await state(page), lines: await download(page, '#download', 'played.jsonl') };
}

async function webcam(page) {
  await page.goto(`${asked.url}/`);
  await page.click('#invitation .webcam');
  const frames = () => page.evaluate(() => Number(document.getElementById('frames').textContent));
  await until(page, () => Number(document.getElementById('frames').textContent) >= 5);
  const [began, before] = [performance.now(), await frames()];
  await page.waitForTimeout(asked.seconds * 1e3);
  const framesPerSecond = ((await frames()) - before) / ((performance.now() - began) / 1e3);
  await page.click('#stop');
  const meshPx = await page.evaluate(() => document.getElementById('mesh').width);
  return { done: await state(page), framesPerSecond, meshPx, lines: await download(page, '#download', 'webcam.jsonl') };
}

/** On a service with tokens: what is seen without one, and then with it. */
async function withToken(page) {
  await page.goto(`${asked.url}/`);
  await page.setInputFiles('#file', asked.clip);
  await page.waitForSelector('#access', { state: 'visible' });
  const without = await state(page);
  await page.fill('#token', asked.token);
  await page.click('#access button');
  await page.setInputFiles('#file', asked.clip);
  await until(page, () => ['complete', 'failed'].includes(document.body.dataset.run));
  const done = await state(page);
  await page.goto(`${asked.url}/operator`);
  await until(page, () => document.getElementById('service').dataset.state === 'ready');
  return { without, done };
}

async function operator(page) {
  await page.goto(`${asked.url}/operator`);
  await until(page, () => document.getElementById('service').dataset.state === 'ready');
  await until(page, () => document.getElementById('stages').rows.length > 1);
  const text = (id) => page.evaluate((name) => document.getElementById(name).innerText, id);
  const ids = ['health', 'queue', 'workers', 'stages', 'requests', 'found', 'events', 'videos'];
  return Object.fromEntries(await Promise.all(ids.map(async (id) => [id, await text(id)])));
}

/** Pictures of both pages for the documentation. */
async function pictures(page) {
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.goto(`${asked.url}/`);
    await page.selectOption('#meshes', 'everyone');
    await page.setInputFiles('#file', asked.clip);
    await until(page, () => document.body.dataset.run !== 'running');
    await show(page, asked.looked[0]);
    await page.screenshot({ path: `${asked.downloads}/viewer-${scheme}.png` });
  }
  await page.setInputFiles('#file', asked.clip);
  const other = await page.context().newPage();
  await other.emulateMedia({ colorScheme: 'dark' });
  await other.goto(`${asked.url}/operator`);
  await other.waitForTimeout(asked.seconds * 1e3);
  await other.screenshot({ path: `${asked.downloads}/operator.png` });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto(`${asked.url}/`);
  await page.screenshot({ path: `${asked.downloads}/phone.png` });
  return {};
}

/** Drop a file on the page, as the browser itself does when a person lets go of it. */
async function drop(page, file) {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: [file], dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop']) {
    await session.send('Input.dispatchDragEvent', { type, x: 400, y: 300, data });
  }
  await until(page, () => document.body.dataset.run !== undefined);
}

async function until(page, condition) {
  await page.waitForFunction(condition, undefined, { polling: POLL_MS, timeout: asked.within_s * 1e3 });
}

/** Show a frame; true once it is on the screen. */
async function show(page, number) {
  await page.keyboard.press('Home');
  for (let i = 0; i < Math.floor(number / 10); i += 1) await page.keyboard.press('Shift+ArrowRight');
  for (let i = 0; i < number % 10; i += 1) await page.keyboard.press('ArrowRight');
  await shown(page, number);
}

async function shown(page, number) {
  await page.waitForFunction(
    (wanted) => document.getElementById('timeline').getAttribute('aria-valuenow') === String(wanted),
    number,
    { polling: POLL_MS, timeout: asked.within_s * 1e3 },
  );
}

async function state(page) {
  return page.evaluate(() => {
    const text = (id) => document.getElementById(id).textContent;
    const counts = [...document.getElementById('legend').children].map((item) => [item.dataset.state, Number(item.querySelector('b').textContent)]);
    return {
      run: document.body.dataset.run,
      source: document.body.dataset.source,
      frames: text('frames'),
      framesPerSecond: Number(text('rate')),
      latency: text('latency'),
      message: text('message'),
      counts: Object.fromEntries(counts),
      last: Number(document.getElementById('timeline').getAttribute('aria-valuemax')),
      people: [...document.getElementById('people').children].map((button) => button.textContent),
    };
  });
}

async function download(page, button, name) {
  const [file] = await Promise.all([page.waitForEvent('download'), page.click(button)]);
  await file.saveAs(`${asked.downloads}/${name}`);
  return `${asked.downloads}/${name}`;
}

/** The timeline's columns once all are painted, which is a moment after the last answer; or as they are in the end. */
async function painted(page) {
  const until_ms = Date.now() + asked.within_s * 1e3;
  for (;;) {
    const columns = await page.evaluate(paintedColumns);
    if (!columns.includes(null) || Date.now() > until_ms) return columns;
    await page.waitForTimeout(POLL_MS);
  }
}

/** The colour of each frame's column at the foot of the timeline, or null where nothing is painted. */
function paintedColumns() {
  const canvas = document.getElementById('timeline');
  const count = Number(canvas.getAttribute('aria-valuemax')) + 1;
  const context = canvas.getContext('2d');
  const y = Math.round(40 * devicePixelRatio);
  return Array.from({ length: count }, (_, number) => {
    const x = Math.floor(((number + 0.2) * canvas.width) / count);
    const [red, green, blue, alpha] = context.getImageData(x, y, 1, 1).data;
    return alpha ? [red, green, blue].join(' ') : null;
  });
}

async function keys(page) {
  const at = async () => Number(await page.getAttribute('#timeline', 'aria-valuenow'));
  const after = {};
  await page.evaluate(() => document.activeElement.blur()); // on a button, space presses that button
  for (const [key, wanted] of [['Home', 0], ['ArrowRight', 1], ['Shift+ArrowRight', 11], ['ArrowLeft', 10]]) {
    await page.keyboard.press(key);
    await shown(page, wanted);
    after[key] = await at();
  }
  await page.keyboard.press(' ');
  await page.waitForFunction(() => Number(document.getElementById('timeline').getAttribute('aria-valuenow')) > 12);
  after.playing = await page.textContent('#play');
  await page.keyboard.press(' ');
  return after;
}

async function theme(page) {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.click('#theme');
  return { light, dark: await ground() };
}

/** How far the page is wider than a phone. */
async function phone(page) {
  await page.setViewportSize({ width: 390, height: 844 });
  return page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
}
