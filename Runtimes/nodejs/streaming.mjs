// Response streaming: awslambda.streamifyResponse and awslambda.HttpResponseStream, and an invocation of such a handler.

import http from 'node:http';
import { Writable } from 'node:stream';
import { headerValue } from './client.mjs';
import { errorBody, invalidStreamingOperation, malformedStreamingHandler } from './errors.mjs';
import { contextMembers } from './invocation.mjs';
import { logFailure } from './logs.mjs';
import { highWaterMarkKey, streamingKey } from './awslambda.mjs';

const errorTypeTrailer = 'Lambda-Runtime-Function-Error-Type';
const errorBodyTrailer = 'Lambda-Runtime-Function-Error-Body';

/** The stream given to the handler: its request to the Runtime API starts with the first byte, or with the end. */
class ResponseStream extends Writable {
    #open;
    #request;
    #contentType = 'application/octet-stream';
    #accepted;

    constructor(open, highWaterMark) {
        super({ highWaterMark, decodeStrings: true });
        this.#open = open;
    }

    /** Set by HttpResponseStream.from: called once with a function that writes before anything else. */
    _onBeforeFirstWrite;

    get hasStarted() {
        return this.#request !== undefined;
    }

    setContentType(contentType) {
        if (this.hasStarted) throw invalidStreamingOperation('Cannot set content-type, too late.');
        this.#contentType = contentType;
    }

    write(chunk, ...rest) {
        const isBytes = typeof chunk === 'string' || chunk instanceof Uint8Array;
        return super.write(isBytes ? chunk : JSON.stringify(chunk), ...rest);
    }

    /** Ends a stream that has begun with AWS's two trailers in place of a normal end. */
    async abort(error) {
        const body = errorBody(error);
        this.#request.addTrailers({
            [errorTypeTrailer]: headerValue(body.errorType),
            [errorBodyTrailer]: Buffer.from(JSON.stringify(body)).toString('base64'),
        });
        this.#request.end();
        this.destroy();
        await this.#accepted;
    }

    /** Resolves when the server has taken the whole response. */
    get accepted() {
        return this.#accepted;
    }

    #start() {
        const { request, accepted } = this.#open(this.#contentType);
        this.#request = request;
        this.#accepted = accepted;
        // An answer before the end is a refusal: nothing reads the rest, and whoever writes must not wait for that.
        accepted.then(() => {
            if (!request.writableFinished) this.destroy(new Error('The response was refused.'));
        }, (error) => this.destroy(error));
        this._onBeforeFirstWrite?.((piece) => request.write(piece));
    }

    _write(chunk, _encoding, done) {
        if (!this.#request) this.#start();
        if (this.#request.write(chunk)) done();
        else this.#request.once('drain', done);
    }

    _final(done) {
        if (!this.#request) this.#start();
        this.#request.end(() => done());
    }
}

export class StreamingInvocation {
    #client;
    #id;
    #handler;
    #waits = true;
    #state = 'running'; // -> 'waiting' (answered; the next invocation waits for an empty event loop) -> 'answered'
    #loopEmpty;

    constructor(client, id, handler) {
        this.#client = client;
        this.#id = id;
        this.#handler = handler;
        if (handler[streamingKey] !== 'response') {
            throw malformedStreamingHandler('Only response streaming is supported.');
        }
    }

    get isOver() {
        return this.#state !== 'running';
    }

    async run(body, headers) {
        const highWaterMark = Number.parseInt(this.#handler[highWaterMarkKey], 10);
        const stream = new ResponseStream((type) => this.#open(type), highWaterMark > 0 ? highWaterMark : undefined);
        stream.on('error', () => {}); // reported by `accepted`, or by whoever writes
        try {
            const returned = this.#handler(JSON.parse(body), stream, this.#context(headers));
            if (typeof returned?.then !== 'function') {
                throw new Error('Streaming does not support non-async handlers.');
            }
            if (await returned !== undefined) console.warn('Streaming handlers ignore return values.');
            if (!stream.writableEnded) throw new Error('Response stream is not finished.');
            if (!stream.writableFinished && !stream.closed) {
                await new Promise((resolve) => stream.once('close', resolve));
            }
            await stream.accepted;
        } catch (error) {
            logFailure('Invoke Error', error);
            if (stream.hasStarted) await stream.abort(error).catch(() => {});
            else await this.#client.fail(this.#id, errorBody(error));
        }
        if (this.#waits && this.#state === 'running') {
            this.#state = 'waiting';
            await new Promise((resolve) => { this.#loopEmpty = resolve; });
        }
        this.#state = 'answered';
    }

    eventLoopIsEmpty() {
        if (this.#state === 'waiting') {
            this.#loopEmpty();
        } else if (this.#state === 'running') {
            this.#state = 'answered'; // nothing can end the stream any more
            this.#client.fail(this.#id, errorBody(new Error('Response stream is not finished.')))
                .finally(() => process.exit(1));
        }
    }

    async crash(error) {
        if (this.#state !== 'running') return;
        this.#state = 'answered';
        await this.#client.fail(this.#id, errorBody(error));
    }

    #context(headers) {
        const invocation = this;
        return Object.assign({
            get callbackWaitsForEmptyEventLoop() {
                return invocation.#waits;
            },
            set callbackWaitsForEmptyEventLoop(value) {
                invocation.#waits = value;
            },
        }, contextMembers(headers));
    }

    #open(contentType) {
        const request = http.request({
            host: this.#client.host,
            port: this.#client.port,
            method: 'POST',
            path: this.#client.responsePath(this.#id),
            headers: {
                'Content-Type': contentType,
                'Lambda-Runtime-Function-Response-Mode': 'streaming',
                'Transfer-Encoding': 'chunked',
                Trailer: `${errorTypeTrailer}, ${errorBodyTrailer}`,
            },
        });
        const accepted = new Promise((resolve, reject) => {
            request.on('error', reject);
            request.on('response', (response) => {
                response.resume();
                response.on('end', resolve);
                response.on('error', reject);
            });
        });
        return { request, accepted };
    }
}
