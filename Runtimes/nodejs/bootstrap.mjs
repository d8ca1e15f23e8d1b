// The runtime of nodejs* functions: started as `node /var/runtime/bootstrap.mjs` with the environment of a Lambda
// function, it loads the handler and serves invocations from the Runtime API until the process is ended.

import { defineAwslambda, streamingKey } from './awslambda.mjs';
import { RuntimeClient } from './client.mjs';
import { errorBody, unhandledPromiseRejection } from './errors.mjs';
import { Invocation } from './invocation.mjs';
import { loadHandler } from './loader.mjs';
import { reachApis } from './localhost.mjs';
import { logFailure, patchConsole, setLogInvocation } from './logs.mjs';

const exitInitFailed = 1;
const exitUnhandledRejection = 128; // this and the next as AWS's client
const exitUncaughtException = 129;
/** The first nodejs runtime whose plain handlers return their result; before it, such a value is ignored. */
const firstModernMajor = 24;

let current; // the invocation under way
let initialising = true;

async function main() {
    patchConsole();
    reachApis();
    const client = new RuntimeClient(process.env.AWS_LAMBDA_RUNTIME_API ?? '127.0.0.1:9001');
    dieOf('uncaughtException', 'Uncaught Exception', exitUncaughtException, client, (error) => error);
    dieOf('unhandledRejection', 'Unhandled Promise Rejection', exitUnhandledRejection, client,
        unhandledPromiseRejection);
    process.on('beforeExit', () => current?.eventLoopIsEmpty());

    let handler;
    try {
        defineAwslambda();
        handler = await loadHandler(process.env.LAMBDA_TASK_ROOT ?? process.cwd(), process.env._HANDLER ?? '');
    } catch (error) {
        logFailure('Uncaught Exception', error);
        await client.failInit(errorBody(error)).catch(() => {});
        process.exit(exitInitFailed);
    }
    initialising = false;
    await serve(client, await invocations(client, handler));
}

/** How to make an invocation of this handler. What only streams need is loaded only for them. */
async function invocations(client, handler) {
    if (handler[streamingKey]) {
        const { StreamingInvocation } = await import('./streaming.mjs');
        return (id) => new StreamingInvocation(client, id, handler);
    }
    const modern = runtimeMajor() >= firstModernMajor;
    return (id) => new Invocation(client, id, handler, modern);
}

function runtimeMajor() {
    const named = /^AWS_Lambda_nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV ?? '')?.[1];
    return Number(named ?? process.versions.node.split('.', 1)[0]);
}

async function serve(client, makeInvocation) {
    for (;;) {
        const { headers, body } = await client.next();
        const id = headers.get('lambda-runtime-aws-request-id');
        setLogInvocation(id, headers.get('lambda-runtime-aws-tenant-id'));
        const trace = headers.get('lambda-runtime-trace-id');
        if (trace) process.env._X_AMZN_TRACE_ID = trace;
        else delete process.env._X_AMZN_TRACE_ID;

        current = makeInvocation(id);
        await current.run(body, headers);
        current = undefined;
        // What the handler left for "immediately after" runs in this invocation, not in the next one.
        await new Promise(setImmediate);
    }
}

/** Answers the invocation, or the initialisation, with an error that nobody caught, and ends the process. */
function dieOf(event, title, exitCode, client, toError) {
    let dying = false;
    process.on(event, (reason, promise) => {
        if (dying) return;
        dying = true;
        const error = toError(reason, promise);
        logFailure(title, error);
        const report = initialising ? client.failInit(errorBody(error)) : current?.crash(error);
        Promise.resolve(report).catch(() => {}).finally(() => process.exit(exitCode));
    });
}

const wrapper = process.env.AWS_LAMBDA_EXEC_WRAPPER;
const wrapped = process.env._MARTLET_WRAPPED !== undefined;
delete process.env._MARTLET_WRAPPED;
if (wrapper && !wrapped) {
    const { becomeWrapper } = await import('./wrapper.mjs');
    await becomeWrapper(wrapper);
} else {
    main().catch((error) => {
        // The Runtime API is gone or makes no sense: there is nobody left to tell but the log.
        console.error('Runtime API failure:', error);
        process.exit(exitInitFailed);
    });
}
