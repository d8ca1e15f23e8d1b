// The Runtime API over one kept-alive connection. Written on node:net, because loading and using node:http costs more
// than everything else in a short invocation; the peer is Martlet, or another server of AWS's Runtime API.

import net from 'node:net';

const apiVersion = '/2018-06-01';
const errorTypeHeader = 'Lambda-Runtime-Function-Error-Type';
/** A response's status line and headers; the client context is the largest (3,583 bytes of base64). */
const maximumHeadBytes = 1024 * 1024;
const maximumHeaderBytes = 1024; // of an error type that we send
/** Below this a request's head and body go out in one write. */
const joinedWriteBytes = 64 * 1024;
const userAgent = `aws-lambda-nodejs/${process.versions.node}-martlet`;

/** Reads one HTTP/1.1 response, in pieces as they come. */
class ResponseReader {
    status = 0;
    headers = new Map(); // names in lower case
    started = false;
    #phase = 'head';
    #rest = Buffer.alloc(0);
    #left = 0; // bytes of the body, or of the current chunk
    #pieces = [];

    /** Takes bytes of the response; true when it is complete. Throws when they are not HTTP. */
    push(bytes) {
        this.started = true;
        let input = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes;
        for (;;) {
            const consumed = this.#step(input);
            if (this.#phase === 'done') return true;
            if (consumed < 0) {
                this.#rest = input;
                return false;
            }
            input = input.subarray(consumed);
        }
    }

    /** The connection ended; true when that completes the response. */
    end() {
        return this.#phase === 'untilClose' || this.#phase === 'done';
    }

    get body() {
        return this.#pieces.length === 1 ? this.#pieces[0] : Buffer.concat(this.#pieces);
    }

    /** How many bytes it took, or -1 when it needs more than there are. */
    #step(input) {
        switch (this.#phase) {
            case 'head': return this.#head(input);
            case 'length': case 'chunk': case 'untilClose': return this.#content(input);
            case 'chunkSize': return this.#chunkSize(input);
            case 'trailer': return this.#trailer(input);
            default: return -1;
        }
    }

    #head(input) {
        const end = input.indexOf('\r\n\r\n');
        if (end < 0) {
            if (input.length > maximumHeadBytes) throw new Error('the head of the response is too long');
            return -1;
        }
        const [statusLine, ...lines] = input.toString('utf8', 0, end).split('\r\n');
        const match = /^HTTP\/1\.[01] (\d{3})/.exec(statusLine);
        if (!match) throw new Error('the response is not HTTP/1.1');
        this.status = Number(match[1]);
        if (this.status < 200) return end + 4; // 1xx announces another response
        for (const line of lines) {
            const colon = line.indexOf(':');
            if (colon > 0) this.headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
        }
        this.#phase = this.#bodyPhase();
        return end + 4;
    }

    #bodyPhase() {
        if (this.status === 204 || this.status === 304) return 'done';
        if (/(^|,)\s*chunked\s*$/i.test(this.headers.get('transfer-encoding') ?? '')) return 'chunkSize';
        const length = this.headers.get('content-length');
        if (length === undefined) return 'untilClose';
        if (!/^\d{1,15}$/.test(length)) throw new Error('the response has a bad Content-Length');
        this.#left = Number(length);
        return this.#left === 0 ? 'done' : 'length';
    }

    #content(input) {
        if (input.length === 0) return -1;
        const count = this.#phase === 'untilClose' ? input.length : Math.min(this.#left, input.length);
        this.#pieces.push(input.subarray(0, count));
        this.#left -= count;
        if (this.#phase === 'length' && this.#left === 0) this.#phase = 'done';
        if (this.#phase === 'chunk' && this.#left === 0) this.#phase = 'chunkSize';
        return count;
    }

    #chunkSize(input) {
        // The line end that closes a chunk's data stands before the next size.
        const start = this.#pieces.length > 0 ? 2 : 0;
        const end = input.indexOf('\r\n', start);
        if (end < 0) {
            if (input.length > maximumHeadBytes) throw new Error('a chunk has no size');
            return -1;
        }
        const size = input.toString('latin1', start, end).split(';', 1)[0].trim();
        if (!/^[0-9a-f]{1,12}$/i.test(size)) throw new Error('a chunk has a bad size');
        this.#left = parseInt(size, 16);
        this.#phase = this.#left === 0 ? 'trailer' : 'chunk';
        return end + 2;
    }

    #trailer(input) {
        const end = input.indexOf('\r\n');
        if (end < 0) {
            if (input.length > maximumHeadBytes) throw new Error('the trailer is too long');
            return -1;
        }
        if (end === 0) this.#phase = 'done';
        return end + 2;
    }
}

/** One connection, one request at a time. While none is under way it does not keep the event loop alive. */
class Connection {
    #host;
    #port;
    #socket;
    #pending; // {reader, resolve, reject, again}

    constructor(host, port) {
        this.#host = host;
        this.#port = port;
    }

    /** Sends a request and returns its `{status, headers, body}`. Once more on a new connection, when a kept one
     *  turns out to have been closed by the server in the meantime. */
    request(head, body = '') {
        return new Promise((resolve, reject) => {
            const reused = this.#socket !== undefined;
            const again = reused ? () => this.#send(head, body, { resolve, reject }) : undefined;
            this.#send(head, body, { resolve, reject, again });
        });
    }

    #send(head, body, pending) {
        this.#pending = { ...pending, reader: new ResponseReader() };
        const socket = (this.#socket ??= this.#connect());
        socket.ref();
        if (body.length < joinedWriteBytes) {
            socket.write(head + body);
        } else {
            socket.cork();
            socket.write(head);
            socket.write(body);
            socket.uncork();
        }
    }

    #connect() {
        const socket = net.connect({ host: this.#host, port: this.#port, noDelay: true });
        socket.on('data', (bytes) => {
            if (socket !== this.#socket || !this.#pending) return;
            try {
                if (this.#pending.reader.push(bytes)) this.#complete();
            } catch (error) {
                this.#drop(error);
            }
        });
        socket.on('error', (error) => { if (socket === this.#socket) this.#drop(error); });
        socket.on('close', () => {
            if (socket !== this.#socket) return;
            if (this.#pending?.reader.end()) this.#complete();
            this.#drop(new Error('the Runtime API closed the connection'));
        });
        return socket;
    }

    #complete() {
        const { reader, resolve } = this.#pending;
        this.#pending = undefined;
        if (/\bclose\b/i.test(reader.headers.get('connection') ?? '')) {
            this.#socket?.destroy();
            this.#socket = undefined;
        } else {
            this.#socket?.unref();
        }
        resolve({ status: reader.status, headers: reader.headers, body: reader.body });
    }

    #drop(error) {
        this.#socket?.destroy();
        this.#socket = undefined;
        const pending = this.#pending;
        this.#pending = undefined;
        if (!pending) return;
        if (pending.again && !pending.reader.started) {
            pending.again();
        } else {
            pending.reject(error);
        }
    }
}

/** The Runtime API (2018-06-01) as its client sees it. */
export class RuntimeClient {
    #connection;
    #hostHeader;

    /** @param {string} address `host:port`, as in AWS_LAMBDA_RUNTIME_API */
    constructor(address) {
        const url = new URL(`http://${address}`);
        this.host = url.hostname.replace(/^\[|\]$/g, '');
        this.port = Number(url.port || 80);
        this.#hostHeader = url.host;
        this.#connection = new Connection(this.host, this.port);
    }

    /** Waits, without limit, for the next invocation: `{headers, body}`. */
    async next() {
        const response = await this.#connection.request(
            `GET ${apiVersion}/runtime/invocation/next HTTP/1.1\r\nHost: ${this.#hostHeader}\r\n` +
            `User-Agent: ${userAgent}\r\n\r\n`);
        if (response.status !== 200) throw unexpected('next', response);
        return { headers: response.headers, body: response.body.toString('utf8') };
    }

    /** Answers an invocation. A refusal, for example 413 for a too large body, is the server's to report. */
    async respond(id, json) {
        return this.#post(`/runtime/invocation/${encodeURIComponent(id)}/response`, json);
    }

    /** Answers an invocation with an error body (`errorBody`). */
    async fail(id, body) {
        return this.#post(`/runtime/invocation/${encodeURIComponent(id)}/error`, JSON.stringify(body), body.errorType);
    }

    /** Reports that the function could not be initialised. */
    async failInit(body) {
        return this.#post('/runtime/init/error', JSON.stringify(body), body.errorType);
    }

    /** Where a streamed response is to be posted. */
    responsePath(id) {
        return `${apiVersion}/runtime/invocation/${encodeURIComponent(id)}/response`;
    }

    async #post(path, json, errorType) {
        const errorHeader = errorType === undefined ? '' : `${errorTypeHeader}: ${headerValue(errorType)}\r\n`;
        const response = await this.#connection.request(
            `POST ${apiVersion}${path} HTTP/1.1\r\nHost: ${this.#hostHeader}\r\nUser-Agent: ${userAgent}\r\n` +
            `Content-Type: application/json\r\n${errorHeader}Content-Length: ${Buffer.byteLength(json)}\r\n\r\n`,
            json);
        // 4xx: this invocation has been decided otherwise (too large, already answered, timed out); go on with the next.
        if (response.status >= 500) throw unexpected(path, response);
        return response.status;
    }
}

/** A header's value must be printable ASCII; the exact text is in the body. */
export const headerValue = (text) =>
    String(text).replace(/[^\x20-\x7e]/g, '?').slice(0, maximumHeaderBytes);

const unexpected = (what, response) =>
    new Error(`the Runtime API answered ${response.status} to ${what}: ${response.body.toString('utf8', 0, 500)}`);
