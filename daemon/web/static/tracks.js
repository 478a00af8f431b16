// What was seen of a camera in the last seconds, in parts of its turned picture.

import { anchorOf, parts } from "./geometry.js";

/** @typedef {import("./shapes.js").Sighting} Sighting */
/** @typedef {import("./geometry.js").Point} Point */

const KEPT = 10_000; // milliseconds

export class Tracks {
  constructor() {
    /** @type {Map<string, Sighting[]>} by track id, oldest first */
    this.ways = new Map();
    /** @type {{label: string, score: number, box: number[], track_id?: string|null, stationary?: boolean}[]} */
    this.objects = [];
    /** @type {import("./geometry.js").View} */
    this.view = { width: 1, height: 1, crop: null };
    /** @type {number|null} of the frame */
    this.sequence = null;
    /** @type {string|null} */
    this.capturedAt = null;
  }

  /** @param {Record<string, any>} payload detections @param {number[]|null} crop */
  take(payload, crop) {
    this.objects = payload.objects;
    this.view = { ...payload.frame, crop };
    this.sequence = payload.sequence;
    this.capturedAt = payload.captured_at;
    const at = Date.parse(payload.captured_at);
    for (const each of this.objects) {
      if (!each.track_id) continue;
      const sighting = {
        label: each.label,
        at,
        point: anchorOf(each.box, this.view),
        centre: anchorOf(each.box, this.view, "centre"),
        height: each.box[3] - each.box[1],
      };
      this.ways.set(each.track_id, [...(this.ways.get(each.track_id) ?? []), sighting]);
    }
    for (const [id, way] of this.ways) {
      const kept = way.filter((sighting) => sighting.at > at - KEPT);
      if (kept.length) this.ways.set(id, kept);
      else this.ways.delete(id);
    }
  }

  /** Nothing is seen any more. */
  clear() {
    this.ways.clear();
    this.objects = [];
    this.capturedAt = this.sequence = null;
  }

  /** Corners of a box: left, top and right, bottom. @param {number[]} box @returns {[Point, Point]} */
  corners([x1, y1, x2, y2]) {
    return [parts([x1, y1], this.view), parts([x2, y2], this.view)];
  }
}
