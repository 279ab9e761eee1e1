// Goldcrest's engine in a browser or in Node. See README.md.

/** A device image that is not one, or does not run here. */
export class GoldcrestError extends Error {}

// Numbers of `open` in src/lib.rs.
const PROBLEMS = [
    "",
    "not a device image, or a damaged one; make one with goldcrest pack",
    "the memory for the model is too small; this is a fault of goldcrest.mjs",
];

const PAGE = 65536;

export class Engine {
    #wasm;

    /** Loads the module (its bytes, or a compiled `WebAssembly.Module`) and opens a device image (`Uint8Array`). */
    static async load(module, image) {
        const loaded = await WebAssembly.instantiate(module, {});
        const wasm = (loaded.instance ?? loaded).exports;
        // Image and arena stand behind what the module has of memory, at multiples of 16.
        const start = wasm.memory.buffer.byteLength;
        const arena = start + Math.ceil(image.length / 16) * 16;
        const grow = (bytes) => {
            const missing = bytes - wasm.memory.buffer.byteLength;
            if (missing > 0) wasm.memory.grow(Math.ceil(missing / PAGE));
        };
        grow(arena);
        new Uint8Array(wasm.memory.buffer, start, image.length).set(image);
        const arenaBytes = wasm.arena_bytes(start, image.length);
        grow(arena + arenaBytes);
        const problem = wasm.open(start, image.length, arena, arenaBytes);
        if (problem !== 0) throw new GoldcrestError(PROBLEMS[problem]);
        const engine = new Engine();
        engine.#wasm = wasm;
        return engine;
    }

    /** Rows, columns and channels of a picture. */
    get input() {
        return [this.#wasm.input_height(), this.#wasm.input_width(), this.#wasm.input_channels()];
    }

    /** Names of the classes. */
    get labels() {
        return Array.from({ length: this.#wasm.classes() }, (_, index) => this.#label(index));
    }

    /** Runs the golden vectors of the device image: how many there are; -1 where a logit differs. */
    selftest() {
        return this.#wasm.selftest();
    }

    /** Classifies a picture (`Uint8Array`, rows x columns x channels): class, name, logits, probabilities. */
    run(pixels) {
        const wasm = this.#wasm;
        const length = this.input.reduce((product, extent) => product * extent);
        if (pixels.length !== length) {
            throw new GoldcrestError(`picture of ${pixels.length} bytes, but the model takes ${length}`);
        }
        new Uint8Array(wasm.memory.buffer, wasm.input(), length).set(pixels);
        wasm.run();
        const logits = Int8Array.from(new Int8Array(wasm.memory.buffer, wasm.logits(), wasm.classes()));
        const best = wasm.best();
        const scale = wasm.output_scale();
        const top = Math.max(...logits);
        const weights = Array.from(logits, (logit) => Math.exp(scale * (logit - top)));
        const sum = weights.reduce((sum, weight) => sum + weight);
        const probabilities = weights.map((weight) => weight / sum);
        return { best, label: this.#label(best), logits, probabilities };
    }

    #label(index) {
        const wasm = this.#wasm;
        const bytes = new Uint8Array(wasm.memory.buffer, wasm.label(index), wasm.label_bytes(index));
        return new TextDecoder().decode(bytes.slice());
    }
}
