// The global `awslambda` that AWS gives to functions, and the marks by which a streaming handler is known.

export const streamingKey = Symbol.for('aws.lambda.runtime.handler.streaming');
export const highWaterMarkKey = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

const httpIntegrationContentType = 'application/vnd.awslambda.http-integration-response';
const preludeDelimiterBytes = 8;

class HttpResponseStream {
    /** Puts status, headers and cookies in front of the response: JSON, then eight zero bytes. */
    static from(stream, metadata) {
        stream.setContentType(httpIntegrationContentType);
        const prelude = JSON.stringify(metadata);
        stream._onBeforeFirstWrite = (write) => {
            write(prelude);
            write(new Uint8Array(preludeDelimiterBytes));
        };
        return stream;
    }
}

/** Defines the global, unless the function asked for none. */
export function defineAwslambda(environment = process.env) {
    if (['1', 'true'].includes(environment.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
    globalThis.awslambda = {
        streamifyResponse(handler, options) {
            handler[streamingKey] = 'response';
            if (typeof options?.highWaterMark === 'number') handler[highWaterMarkKey] = options.highWaterMark;
            return handler;
        },
        HttpResponseStream,
    };
}
