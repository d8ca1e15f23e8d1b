import NIOCore
import NIOHTTP1

/// What an `HTTPConnection` on a stream of HTTP/2 writes through: bodies pass as bytes, heads and ends by their methods. Counts
/// what the client has not taken, since a stream's channel does not say.
final class HTTP2Output: ChannelOutboundHandler {
    typealias OutboundIn = IOData
    typealias OutboundOut = HTTPServerResponsePart

    private var context: ChannelHandlerContext?
    /// Bytes that wait for the client's window or the connection.
    private(set) var pendingBytes = 0

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let bytes = unwrapOutboundIn(data)
        let count = bytes.readableBytes
        // An empty frame says nothing, and many of them are an attack.
        guard count > 0 else { return context.write(wrapOutboundOut(.body(bytes)), promise: promise) }
        pendingBytes += count
        let written = promise ?? context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { [weak self] _ in self?.pendingBytes -= count }
        context.write(wrapOutboundOut(.body(bytes)), promise: written)
    }

    func writeHead(status: Int, headers: HTTPHeaders) {
        guard let context else { return }
        let head = HTTPResponseHead(
            version: .http2, status: HTTPResponseStatus(statusCode: status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
    }

    /// Ends the answer; `done` is called when the client has taken it all, or never will.
    func writeEnd(_ done: @escaping () -> Void) {
        guard let context else { return done() }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in done() }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
    }
}
