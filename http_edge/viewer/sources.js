// Where frames come from: a video file or a webcam, as `{image, matrix, timestampMs}` in order of time.
// A file gives every frame: from its own tables where they can be read, else by playing it slowly.

import { UPRIGHT, readVideoTrack } from './mp4.js';

const CAMERA_RATE = 30; // frames a second
const CAMERA_RATE_WITHOUT_GPU = 15; // each frame costs the processors, also one that is not sent
const CAMERA_ASPECT = 16 / 9;
const DECODING_AHEAD = 8;
const PLAYED_AHEAD = 2;
const SLOWEST_RATE = 1 / 16; // what browsers accept
const WITHIN_FRAME_S = 1e-4; // beyond a frame's time, so that rounding does not show the one before
const FASTEST_RATE = 1 / 2;
const LONG_GAP = 1.5;
const FASTER_AFTER = 30; // frames without one passed over

/**
 * The frames of a video file.
 * @param {File} file
 * @param {HTMLVideoElement} video used only where the browser must play the file
 * @param {AbortSignal} stopped
 */
export async function openFile(file, video, stopped) {
  const track = globalThis.VideoDecoder ? await readVideoTrack(file) : null;
  if (track && (await VideoDecoder.isConfigSupported(track.config)).supported) {
    const { frameCount, framesPerSecond } = track;
    return { how: 'decoded', frameCount, framesPerSecond, frames: decode(file, track, stopped) };
  }
  await load(video, file);
  return { how: 'played', frameCount: null, framesPerSecond: null, frames: play(video, stopped) };
}

/**
 * The frames of a webcam: always the newest one when the next is asked for. Rejects where there is none.
 * @param {{longestPx: number, hasGpu: boolean}} wanted how large frames need be, and what draws them
 */
export async function openWebcam(video, stopped, { longestPx, hasGpu }) {
  if (!navigator.mediaDevices) throw new Error('a webcam needs this page over https or from localhost');
  const stream = await navigator.mediaDevices.getUserMedia({
    video: {
      width: { ideal: longestPx },
      height: { ideal: longestPx / CAMERA_ASPECT },
      frameRate: { ideal: hasGpu ? CAMERA_RATE : CAMERA_RATE_WITHOUT_GPU },
    },
  });
  video.srcObject = stream;
  await video.play();
  return { how: 'live', frameCount: null, framesPerSecond: null, frames: watch(video, stream, stopped) };
}

async function* decode(file, track, stopped) {
  const ready = [];
  let wake = () => {};
  let failure = null;
  const decoder = new VideoDecoder({
    output: (frame) => { ready.push(frame); wake(); },
    error: (error) => { failure = error; wake(); },
  });
  decoder.ondequeue = () => wake();
  decoder.configure(track.config);
  const shown = new Set(track.samples.filter((sample) => sample.shown).map((sample) => sample.timeUs));
  let next = 0;
  let flushed = false;
  try {
    while (!stopped.aborted) {
      if (failure) throw failure;
      if (ready.length) {
        const image = ready.shift();
        if (shown.has(image.timestamp)) {
          yield { image, matrix: track.matrix, timestampMs: image.timestamp / 1e3 };
        } else {
          image.close();
        }
      } else if (next < track.samples.length && decoder.decodeQueueSize < DECODING_AHEAD) {
        decoder.decode(await readChunk(file, track.samples[next]));
        next += 1;
      } else if (next < track.samples.length) {
        await new Promise((resolve) => { wake = resolve; });
      } else if (!flushed) {
        flushed = true;
        await decoder.flush();
      } else {
        return;
      }
    }
  } finally {
    ready.forEach((frame) => frame.close());
    if (decoder.state !== 'closed') decoder.close();
  }
}

async function readChunk(file, sample) {
  return new EncodedVideoChunk({
    type: sample.key ? 'key' : 'delta',
    timestamp: sample.timeUs,
    data: await file.slice(sample.offset, sample.offset + sample.bytes).arrayBuffer(),
  });
}

async function load(video, file) {
  if (!video.requestVideoFrameCallback) throw new Error('this browser cannot tell the frames of a video apart');
  video.srcObject = null;
  video.src = URL.createObjectURL(file);
  await new Promise((resolve, reject) => {
    video.onloadeddata = resolve;
    video.onerror = () => reject(new Error('this browser cannot play the file'));
  });
}

/**
 * Plays slowly, and again from the last frame, slower, whenever the browser passed one over.
 * `arriving`: a seek's own frame has not been seen yet; only from there on can frames be counted.
 */
async function* play(video, stopped) {
  const ready = [];
  let wake = () => {};
  let last = { time: -1, presented: 0, dropped: 0 };
  let arriving = true;
  let even = 0;
  let shortest = Infinity; // time between two frames, seconds
  let doubted = null; // the frame after which a longer time was looked at twice: browsers count late what they drop
  const again = () => {
    arriving = true;
    even = 0;
    video.pause();
    video.playbackRate = Math.max(SLOWEST_RATE, video.playbackRate / 2);
    video.currentTime = last.time + WITHIN_FRAME_S;
  };
  const take = (_now, frame) => {
    const dropped = video.getVideoPlaybackQuality().droppedVideoFrames;
    const missed = !arriving && (frame.presentedFrames > last.presented + 1 || dropped > last.dropped);
    last = { time: last.time, presented: frame.presentedFrames, dropped };
    const gap = frame.mediaTime - last.time;
    const long = gap > LONG_GAP * shortest && doubted !== last.time;
    if (gap > 0 && (long || (missed && video.playbackRate > SLOWEST_RATE))) {
      if (long) doubted = last.time;
      again();
    } else {
      arriving = false;
      if (gap > 0) {
        if (last.time >= 0) shortest = Math.min(shortest, gap);
        last.time = frame.mediaTime;
        ready.push({ image: snapshot(video), timestampMs: frame.mediaTime * 1e3 });
        if (ready.length >= PLAYED_AHEAD) video.pause();
        even += 1;
        if (even % FASTER_AFTER === 0) video.playbackRate = Math.min(FASTEST_RATE, video.playbackRate * 2);
      }
    }
    video.requestVideoFrameCallback(take);
    wake();
  };
  video.requestVideoFrameCallback(take);
  video.onended = () => wake();
  video.playbackRate = FASTEST_RATE;
  video.currentTime = 0;
  let endedAt = null;
  try {
    while (!stopped.aborted) {
      const woken = new Promise((resolve) => { wake = resolve; });
      if (ready.length) {
        const { image, timestampMs } = ready.shift();
        yield { image: await image, matrix: UPRIGHT, timestampMs };
      } else if (video.ended && !arriving) {
        if (endedAt === last.time) return; // twice, so nothing was passed over before the end
        endedAt = last.time;
        again();
      } else {
        if (video.paused && !arriving) await video.play();
        if (!ready.length && !video.ended) await woken;
      }
    }
  } finally {
    video.pause();
    URL.revokeObjectURL(video.src);
    video.removeAttribute('src');
  }
}

/** The picture that a video shows now; without a copy where the browser can. */
async function snapshot(video) {
  return globalThis.VideoFrame ? new VideoFrame(video) : createImageBitmap(video);
}

async function* watch(video, stream, stopped) {
  try {
    let begin = null;
    let wake = () => {};
    stopped.addEventListener('abort', () => wake(null));
    while (!stopped.aborted) {
      const at = await new Promise((resolve) => {
        wake = resolve;
        video.requestVideoFrameCallback((now, frame) => resolve(frame.captureTime ?? now));
      });
      if (at === null) return;
      begin ??= at;
      yield { image: await snapshot(video), matrix: UPRIGHT, timestampMs: at - begin };
    }
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  }
}
