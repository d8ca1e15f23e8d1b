// Errors of the runtime client itself, and the two forms in which any error leaves the process:
// the body posted to the Runtime API, and the text written to the log. Names and texts are AWS's.

import { types } from 'node:util';

class RuntimeError extends Error {
    constructor(type, message) {
        super(message);
        this.name = `Runtime.${type}`;
    }
}

export const handlerNotFound = (message) => new RuntimeError('HandlerNotFound', message);
export const malformedHandlerName = (message) => new RuntimeError('MalformedHandlerName', message);
export const malformedStreamingHandler = (message) => new RuntimeError('MalformedStreamingHandler', message);
export const invalidStreamingOperation = (message) => new RuntimeError('InvalidStreamingOperation', message);
export const importModuleError = (cause) => new RuntimeError('ImportModuleError', String(cause));

export function userCodeSyntaxError(cause) {
    const error = new RuntimeError('UserCodeSyntaxError', String(cause));
    error.stack = cause.stack; // it names the file and the line
    return error;
}

export function unhandledPromiseRejection(reason, promise) {
    const error = new RuntimeError('UnhandledPromiseRejection', String(reason));
    error.reason = reason;
    error.promise = promise;
    return error;
}

/** An async handler whose promise can no longer settle: nothing is left in the event loop. */
export const nodeJsExit = () => new RuntimeError(
    'NodeJsExit',
    'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise ' +
    'that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes');

/** Until nodejs22.x the error has no type of its own; from nodejs24.x it has. */
export const unserializableResponse = (hasOwnType) => hasOwnType
    ? new RuntimeError('JSONStringifyError', 'Unable to stringify response body')
    : new Error('Unable to stringify response body');

const isErrorLike = (value) =>
    types.isNativeError(value) || value instanceof Error ||
    (typeof value === 'object' && value !== null &&
        ['name', 'message', 'stack'].every((key) => typeof value[key] === 'string' && value[key] !== ''));

// A DEL character is refused in a header and by some JSON readers; AWS escapes it alone.
const withoutDelete = (text) => text.replaceAll('\x7f', '%7F');

/** The body of an error for the Runtime API: `{errorType, errorMessage, trace}`. Never throws. */
export function errorBody(error) {
    try {
        if (isErrorLike(error)) {
            return {
                errorType: withoutDelete(String(error.name)),
                errorMessage: withoutDelete(String(error.message)),
                trace: typeof error.stack === 'string' ? withoutDelete(error.stack).split('\n') : [],
            };
        }
        return { errorType: typeof error, errorMessage: String(error), trace: [] };
    } catch {
        return {
            errorType: 'handled',
            errorMessage: 'callback called with Error argument, but there was a problem while retrieving one or ' +
                'more of its message, name, and stack',
            trace: [],
        };
    }
}

/** What was thrown, as an error. Never throws. */
export function asError(value) {
    if (value instanceof Error) return value;
    try {
        return new Error(String(value));
    } catch {
        return new Error('an object that cannot be made a string');
    }
}

/** The error as one JSON text for the log, with the members that JSON.stringify leaves out. Never throws. */
export function errorLogText(error) {
    const enumerable = (_key, value) => {
        if (!(value instanceof Error)) return value;
        const copy = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
        if (typeof value.stack === 'string') copy.stack = value.stack.split('\n');
        return copy;
    };
    try {
        return JSON.stringify(error, enumerable);
    } catch {
        return JSON.stringify(errorBody(error));
    }
}
