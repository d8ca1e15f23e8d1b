// The console of a function: AWS's text lines or JSON objects, on standard output, or as frames on the descriptor
// named by _LAMBDA_TELEMETRY_LOG_FD, which keep the bounds of multi-line messages.

import { writeSync } from 'node:fs';
import { format } from 'node:util';
import { asError, errorLogText } from './errors.mjs';

const levels = {
    TRACE: { rank: 1, frameBits: 0b00100 },
    DEBUG: { rank: 2, frameBits: 0b01000 },
    INFO: { rank: 3, frameBits: 0b01100 },
    WARN: { rank: 4, frameBits: 0b10000 },
    ERROR: { rank: 5, frameBits: 0b10100 },
    FATAL: { rank: 6, frameBits: 0b11000 },
};
const consoleLevels = {
    trace: 'TRACE', debug: 'DEBUG', log: 'INFO', info: 'INFO', warn: 'WARN', error: 'ERROR', fatal: 'FATAL',
};

const frameHeaderBytes = 16; // type 4, length 4, microseconds since 1970 8; big-endian
const textFrameType = 0xa55a0003;
const jsonFrameType = 0xa55a0002;

let asJSON = false;
let frameDescriptor;
let requestId; // "undefined" until the first invocation, as on AWS
let tenantId;

/** Attributes what is logged from now on to an invocation. */
export function setLogInvocation(newRequestId, newTenantId) {
    requestId = newRequestId;
    tenantId = newTenantId;
}

/** Replaces the console's methods, following AWS_LAMBDA_LOG_FORMAT and AWS_LAMBDA_LOG_LEVEL. */
export function patchConsole(environment = process.env) {
    asJSON = environment.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
    const lowest = levels[environment.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()]?.rank ?? 0;
    const descriptor = Number(environment._LAMBDA_TELEMETRY_LOG_FD ?? NaN);
    delete environment._LAMBDA_TELEMETRY_LOG_FD; // child processes must not write frames
    frameDescriptor = Number.isInteger(descriptor) && descriptor >= 0 ? descriptor : undefined;

    for (const [method, level] of Object.entries(consoleLevels)) {
        console[method] = levels[level].rank < lowest ? () => {} : (...items) => write(level, items);
    }
}

/** Logs a failure in AWS's form: in text, its title and the error as JSON; in JSON, the error as the message. */
export function logFailure(title, error) {
    if (asJSON) {
        console.error(asError(error));
    } else {
        console.error(title, `\t${errorLogText(asError(error))}`);
    }
}

function write(level, items) {
    const now = new Date();
    const text = asJSON ? jsonLine(now, level, items) : textLine(now, level, items);
    if (frameDescriptor !== undefined) {
        writeFrame(now, level, asJSON ? text : `${text}\n`);
    } else {
        // On a plain stream a line is an event: AWS's client keeps a message in one event with carriage returns.
        writeAll(1, Buffer.from(`${text.replaceAll('\n', '\r')}\n`));
    }
}

function textLine(now, level, items) {
    return `${now.toISOString()}\t${requestId}\t${level}\t${format(...items)}`;
}

function jsonLine(now, level, items) {
    const line = { timestamp: now.toISOString(), level, requestId };
    if (tenantId) line.tenantId = tenantId;
    if (items.length === 1) {
        line.message = items[0];
        try {
            return JSON.stringify(line, errorsAsObjects);
        } catch { // circular, or a BigInt
            line.message = format(items[0]);
            return JSON.stringify(line);
        }
    }
    line.message = format(...items);
    const error = items.find((item) => item instanceof Error);
    if (error) Object.assign(line, errorMembers(error));
    return JSON.stringify(line);
}

const errorMembers = (error) => ({
    errorType: error.constructor?.name ?? 'UnknownError',
    errorMessage: error.message,
    stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
});

const errorsAsObjects = (_key, value) => (value instanceof Error ? { ...errorMembers(value), ...value } : value);

function writeFrame(now, level, text) {
    const message = Buffer.from(text);
    const frame = Buffer.allocUnsafe(frameHeaderBytes + message.length);
    frame.writeUInt32BE(((asJSON ? jsonFrameType : textFrameType) | levels[level].frameBits) >>> 0, 0);
    frame.writeUInt32BE(message.length, 4);
    frame.writeBigInt64BE(BigInt(now.getTime()) * 1000n, 8);
    message.copy(frame, frameHeaderBytes);
    writeAll(frameDescriptor, frame);
}

const pauseMs = 1;
const pauser = new Int32Array(new SharedArrayBuffer(4));

/** Writes every byte before it returns, so that what was logged survives a crash right after it. */
function writeAll(descriptor, bytes) {
    for (let offset = 0; offset < bytes.length;) {
        try {
            offset += writeSync(descriptor, bytes, offset);
        } catch (error) {
            if (error.code === 'EAGAIN') {
                Atomics.wait(pauser, 0, 0, pauseMs); // a pipe that the user's code made non-blocking is full
            } else {
                return; // nobody reads the log any more; that is no reason to fail the function
            }
        }
    }
}
