// The live page: joins its parts, and its buttons and keys to them.

import { Angles } from './angles.js';
import { Player } from './player.js';
import { Results } from './results.js';
import { Courier } from './run.js';
import { openFile, openWebcam } from './sources.js';
import { Stage } from './stage.js';
import { initialiseTheme } from './theme.js';
import { Timeline } from './timeline.js';
import { initialiseToken, isRefusal, token } from './token.js';
import { Turntable } from './turntable.js';

const HEALTH_EVERY_MS = 3000;
const TURN_RADIANS = 0.15;
const PLOT_MS = 200; // between two drawings of the plots, and so much more for each frame
const PLOT_MS_PER_FRAME = 0.02;
const LONGEST_FILE_PX = 1280;
const LONGEST_WEBCAM_PX = 640; // faster, and a person before a webcam is large

const $ = (id) => document.getElementById(id);

const results = new Results();
const courier = new Courier();
const stage = new Stage({ picture: $('picture'), mesh: $('mesh'), skeleton: $('skeleton') });
const turntable = new Turntable($('turntable'));
const angles = new Angles($('angles'));
const timeline = new Timeline($('timeline'), (number) => seek(number));
const player = new Player(results, showFrame);
let chosenTrack = null;
let running = null;
let name = 'results';
let plotting = null;

// ---------------------------------------------------------------- runs

async function start(open, label) {
  stop();
  const own = new AbortController();
  running = own;
  name = label;
  chosenTrack = null;
  say(null);
  $('invitation').hidden = true;
  $('stop').disabled = false;
  document.body.dataset.run = 'running';
  try {
    const source = await open(own.signal);
    if (own.signal.aborted) return;
    results.clear({ expected: source.frameCount, live: source.how === 'live' });
    player.follow();
    document.body.dataset.source = source.how;
    await courier.run(source, options(source.how), { sent, received }, own.signal);
    if (running === own) document.body.dataset.run = 'complete';
  } catch (error) {
    if (running !== own) return;
    say(error.message);
    document.body.dataset.run = 'failed';
  } finally {
    if (running === own) {
      running = null;
      $('stop').disabled = true;
      refresh();
    }
  }
}

function stop() {
  if (!running) return;
  running.abort();
  running = null;
  document.body.dataset.run = 'stopped';
  $('stop').disabled = true;
  $('flying').textContent = '0';
}

const longestPx = (how) => Number($('longest').value) || (how === 'live' ? LONGEST_WEBCAM_PX : LONGEST_FILE_PX);

function options(how) {
  return {
    longestPx: longestPx(how),
    meshes: $('meshes').value,
    token: token(),
    window: () => Number($('window').value),
  };
}

function sent(number, timestampMs) {
  results.sent(number, timestampMs);
}

function received(reply, figures) {
  results.received(reply);
  if (reply.failure) refused(reply.number, reply.failure);
  $('rate').textContent = figures.framesPerSecond.toFixed(1);
  $('latency').textContent = milliseconds(figures.medianMs);
  $('latency95').textContent = milliseconds(figures.slowMs);
  $('flying').textContent = String(figures.flying);
  player.arrived(reply.number);
  refresh();
}

function refused(number, { code, message }) {
  say(`frame ${number}: ${message}`);
  if (isRefusal(code)) {
    $('access').hidden = false;
    stop();
  }
}

const milliseconds = (value) => (value === null ? '–' : `${Math.round(value)} ms`);

function say(text) {
  $('message').hidden = !text;
  $('message').textContent = text ?? '';
}

// ---------------------------------------------------------------- what is shown

function showFrame(frame, bitmap) {
  const faces = results.live && !stage.hasGpu ? results.fewerFaces : results.faces;
  stage.draw(frame, bitmap, faces);
  showPeople(frame);
  const track = chosenTrack ?? frame.primary;
  const person = frame.answer?.people.find(({ track_id: id }) => id === track);
  const mesh = frame.meshes.find(({ trackId }) => trackId === track);
  turntable.show(person ? { trackId: track, vertices: mesh?.vertices, faces, joints: person.joints_3d_raw } : null);
  const told = describe(frame);
  $('where').textContent = told;
  $('timeline').setAttribute('aria-valuenow', String(frame.number));
  $('timeline').setAttribute('aria-valuetext', told);
  drawPlots();
}

function describe(frame) {
  const at = `frame ${frame.number + 1} of ${results.length}, ${(frame.timestampMs / 1e3).toFixed(2)} s: ${frame.state}`;
  const person = frame.people.find(({ trackId }) => trackId === frame.primary);
  return person ? `${at}, ${Math.round(person.confidence * 100)} %` : at;
}

function showPeople(frame) {
  const ids = frame.people.map(({ trackId }) => trackId);
  const shown = [...$('people').children].map((button) => Number(button.value));
  if (ids.join() !== shown.join()) {
    $('people').replaceChildren(...ids.map((id) => {
      const button = document.createElement('button');
      Object.assign(button, { type: 'button', value: String(id), textContent: String(id), title: `track ${id}` });
      button.addEventListener('click', () => {
        chosenTrack = chosenTrack === id ? null : id;
        player.redraw();
      });
      return button;
    }));
  }
  for (const button of $('people').children) {
    button.setAttribute('aria-pressed', String(Number(button.value) === (chosenTrack ?? frame.primary)));
  }
}

/** Long videos take longer to plot, and are plotted less often. */
function drawPlots() {
  plotting ??= setTimeout(() => {
    plotting = null;
    timeline.draw(results, player.current);
    angles.draw(results, chosenTrack, player.current);
  }, PLOT_MS + results.length * PLOT_MS_PER_FRAME);
}

/** What does not depend on the frame that is shown. */
function refresh() {
  for (const item of $('legend').children) item.querySelector('b').textContent = String(results.counts[item.dataset.state]);
  $('frames').textContent = results.expected ? `${results.done} / ${results.expected}` : String(results.done);
  $('failed').textContent = String(results.failed);
  $('timeline').setAttribute('aria-valuemin', String(results.first));
  $('timeline').setAttribute('aria-valuemax', String(Math.max(0, results.length - 1)));
  for (const id of ['play', 'back', 'forth', 'download', 'download-meshes']) $(id).disabled = results.done === 0;
  $('play').textContent = player.playing ? 'Pause' : 'Play';
  drawPlots();
}

function seek(number) {
  player.seek(number);
  refresh();
}

// ---------------------------------------------------------------- buttons, files and keys

const openLive = (stopped) => openWebcam($('player'), stopped, { longestPx: longestPx('live'), hasGpu: stage.hasGpu });
const pick = (file) => start((stopped) => openFile(file, $('player'), stopped), file.name.replace(/\.[^.]*$/, ''));

$('file').addEventListener('change', (event) => {
  const [file] = event.target.files;
  event.target.value = '';
  if (file) pick(file);
});
for (const button of document.querySelectorAll('.webcam')) {
  button.addEventListener('click', () => start(openLive, 'webcam'));
}
$('stop').addEventListener('click', () => {
  stop();
  refresh();
});
$('play').addEventListener('click', () => toggle());
$('back').addEventListener('click', () => seek(player.current - 1));
$('forth').addEventListener('click', () => seek(player.current + 1));
$('turning').addEventListener('change', (event) => turntable.turn(event.target.checked));
$('download').addEventListener('click', () => save(results.jsonLines({ withMeshes: false }), `${name}.jsonl`));
$('download-meshes').addEventListener('click', () => save(results.jsonLines({ withMeshes: true }), `${name}-meshes.jsonl`));
initialiseToken($('access'), () => say('The token is kept until this tab is closed. Start again.'));
for (const what of ['mesh', 'skeleton']) {
  $(`show-${what}`).addEventListener('change', (event) => {
    stage.shows[what] = event.target.checked;
    player.redraw();
  });
}

function toggle() {
  player.toggle();
  const watch = () => {
    $('play').textContent = player.playing ? 'Pause' : 'Play';
    if (player.playing) requestAnimationFrame(watch);
  };
  watch();
}

function save(blob, filename) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = filename;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

document.addEventListener('dragover', (event) => {
  event.preventDefault();
  $('stage').classList.add('aimed');
});
document.addEventListener('dragleave', () => $('stage').classList.remove('aimed'));
document.addEventListener('drop', (event) => {
  event.preventDefault();
  $('stage').classList.remove('aimed');
  const [file] = event.dataTransfer.files;
  if (file) pick(file);
});

const KEYS = {
  ' ': toggle,
  ArrowLeft: (event) => seek(player.current - (event.shiftKey ? 10 : 1)),
  ArrowRight: (event) => seek(player.current + (event.shiftKey ? 10 : 1)),
  Home: () => seek(results.first),
  End: () => seek(results.newest),
  m: () => $('show-mesh').click(),
  s: () => $('show-skeleton').click(),
};
const TURNS = {
  ArrowLeft: [-TURN_RADIANS, 0],
  ArrowRight: [TURN_RADIANS, 0],
  ArrowUp: [0, -TURN_RADIANS],
  ArrowDown: [0, TURN_RADIANS],
};

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('input, select, textarea')) return;
  if (event.key === ' ' && event.target.matches('button, a')) return;
  const turn = event.target === $('turntable') ? TURNS[event.key] : undefined;
  const act = turn ? () => turntable.rotate(...turn) : results.done > 0 && KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act(event);
});

// ---------------------------------------------------------------- the service

async function askHealth() {
  let [state, told] = ['not_ready', 'the service does not answer'];
  try {
    const health = await (await fetch('/health')).json();
    state = health.status;
    told = health.ready ? `ready: ${health.backend}, ${health.workers} ${health.workers === 1 ? 'worker' : 'workers'}` : health.error ?? 'the networks are loading';
  } catch { /* the text above says it */ }
  $('service').dataset.state = state;
  $('service').textContent = told;
}

initialiseTheme($('theme'), drawPlots);
if (!stage.hasMeshes) say('This browser shows no meshes: it has no WebGL 2.');
askHealth();
setInterval(askHealth, HEALTH_EVERY_MS);
