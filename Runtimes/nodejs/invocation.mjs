// One invocation of a function that answers at once (not as a stream): its context and the ways in which it may end.

import { errorBody, nodeJsExit, unserializableResponse } from './errors.mjs';
import { logFailure } from './logs.mjs';

/** The members of the context that come with the event and from the environment. */
export function contextMembers(headers, environment = process.env) {
    const deadlineMs = Number(headers.get('lambda-runtime-deadline-ms'));
    return {
        functionVersion: environment.AWS_LAMBDA_FUNCTION_VERSION,
        functionName: environment.AWS_LAMBDA_FUNCTION_NAME,
        memoryLimitInMB: environment.AWS_LAMBDA_FUNCTION_MEMORY_SIZE, // a string, as on AWS
        logGroupName: environment.AWS_LAMBDA_LOG_GROUP_NAME,
        logStreamName: environment.AWS_LAMBDA_LOG_STREAM_NAME,
        clientContext: jsonHeader(headers, 'lambda-runtime-client-context', 'ClientContext'),
        identity: jsonHeader(headers, 'lambda-runtime-cognito-identity', 'CognitoIdentity'),
        invokedFunctionArn: headers.get('lambda-runtime-invoked-function-arn'),
        awsRequestId: headers.get('lambda-runtime-aws-request-id'),
        tenantId: headers.get('lambda-runtime-aws-tenant-id'),
        getRemainingTimeInMillis: () => deadlineMs - Date.now(),
    };
}

function jsonHeader(headers, name, what) {
    const text = headers.get(name);
    if (text === undefined) return undefined;
    try {
        return JSON.parse(text);
    } catch (error) {
        throw new Error(`Cannot parse ${what} as json: ${error}`);
    }
}

const isPromise = (value) => typeof value?.then === 'function';

/**
 * An invocation is running, then either answered or waiting, with its result, for an empty event loop.
 * The first answer counts; later ones are ignored.
 */
export class Invocation {
    #client;
    #id;
    #handler;
    #handlerIsAsync;
    #modern;
    #state = 'running'; // -> 'waiting' -> 'answered', or 'running' -> 'answered'
    #result;
    #waits = true;
    #finished;
    #finish;

    /** @param modern the conventions of nodejs24.x and newer: a plain return value is the result */
    constructor(client, id, handler, modern) {
        this.#client = client;
        this.#id = id;
        this.#handler = handler;
        this.#handlerIsAsync = handler.constructor?.name === 'AsyncFunction';
        this.#modern = modern;
        this.#finished = new Promise((resolve, reject) => { this.#finish = { resolve, reject }; });
    }

    get isOver() {
        return this.#state === 'answered';
    }

    /** Calls the handler; resolves when the invocation has been answered. */
    run(body, headers) {
        try {
            const returned = this.#handler(JSON.parse(body), this.#context(headers), (error, result) => {
                this.#callback(error, result);
            });
            if (isPromise(returned)) {
                returned.then((result) => this.#succeed(result), (error) => this.#fail(error));
            } else if (this.#modern && this.#handler.length < 3) {
                this.#succeed(returned);
            }
        } catch (error) {
            this.#fail(error);
        }
        return this.#finished;
    }

    /** Nothing is left to do in the process. */
    eventLoopIsEmpty() {
        if (this.#state === 'waiting') {
            this.#succeedNow(this.#result);
        } else if (this.#state === 'running') {
            if (this.#handlerIsAsync) {
                this.#fail(nodeJsExit());
            } else {
                this.#succeedNow(null); // the callback was never called
            }
        }
    }

    /** The process is about to end because of this error, already logged. */
    crash(error) {
        if (this.#state === 'answered') return this.#finished; // let an answer on its way arrive
        this.#state = 'answered';
        return this.#client.fail(this.#id, errorBody(error));
    }

    #context(headers) {
        const invocation = this;
        const succeed = (result) => this.#succeed(result);
        const fail = (error) => this.#fail(error ?? 'handled');
        return Object.assign({
            get callbackWaitsForEmptyEventLoop() {
                return invocation.#waits;
            },
            set callbackWaitsForEmptyEventLoop(value) {
                invocation.#waits = value;
            },
            succeed,
            fail,
            done: (error, result) => (error === undefined || error === null ? succeed(result) : fail(error)),
        }, contextMembers(headers));
    }

    #callback(error, result) {
        if (this.#state !== 'running') return;
        if (error !== undefined && error !== null) {
            this.#fail(error);
        } else if (this.#waits) {
            this.#state = 'waiting';
            this.#result = result;
        } else {
            this.#succeedNow(result);
        }
    }

    #succeed(result) {
        if (this.#state === 'running') this.#succeedNow(result);
    }

    #succeedNow(result) {
        let json;
        try {
            json = JSON.stringify(result) ?? 'null'; // undefined, a function or a symbol
        } catch {
            this.#answerWithError(unserializableResponse(this.#modern));
            return;
        }
        this.#state = 'answered';
        this.#client.respond(this.#id, json).then(this.#finish.resolve, this.#finish.reject);
    }

    #fail(error) {
        if (this.#state === 'running') this.#answerWithError(error);
    }

    #answerWithError(error) {
        this.#state = 'answered';
        logFailure('Invoke Error', error);
        this.#client.fail(this.#id, errorBody(error)).then(this.#finish.resolve, this.#finish.reject);
    }
}
