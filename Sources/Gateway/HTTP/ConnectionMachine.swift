/// One HTTP/1.1 connection as a value: which request is on it, whether its body and its answer are done, and what
/// happens next. Requests are answered strictly in order: the next head is looked at when the answer is written.
struct ConnectionMachine: Sendable {
    /// Where the body of the current request stands.
    enum Input: Sendable, Equatable {
        /// Nobody has asked for it: bytes stay in the kernel.
        case held
        /// Its reader takes pieces.
        case wanted
        /// Answered without it: the rest is dropped, up to a limit.
        case discarding(bytesLeft: Int)
        case ended
    }

    /// Where the answer of the current request stands.
    enum Output: Sendable, Equatable { case awaited, started, finished }

    struct Exchange: Sendable, Equatable {
        var input: Input
        var output: Output
        var keepAlive: Bool
        /// `100 Continue` has been asked for and not been sent.
        var owesContinue: Bool
    }

    enum State: Sendable, Equatable {
        /// Can go to `exchange`, `lingering` (malformed head), `closed`.
        case waiting
        /// Can go to `waiting`, `lingering`, `closed`.
        case exchange(Exchange)
        /// The last answer is out, its output side closed; input is dropped until the client hangs up. → `closed`.
        case lingering(bytesLeft: Int)
        case closed
    }

    /// What the shell does after an event.
    enum Next: Sendable, Equatable {
        case nothing
        case awaitRequest
        /// Close the output after what is written, drop input for a while.
        case linger
        /// Close after what is written.
        case close
    }

    enum BodyAction: Sendable, Equatable { case deliver, drop, close }

    private(set) var state: State = .waiting
    private(set) var isDraining = false
    private let discardLimit: Int
    private let lingerLimit: Int

    init(discardLimit: Int, lingerLimit: Int) {
        self.discardLimit = discardLimit
        self.lingerLimit = lingerLimit
    }

    var exchange: Exchange? { if case .exchange(let exchange) = state { exchange } else { nil } }
    var isWaiting: Bool { state == .waiting }
    var isLingering: Bool { if case .lingering = state { true } else { false } }
    var awaitsAnswer: Bool { exchange?.output == .awaited }

    /// Whether a queued body piece or end can be taken now.
    var takesBody: Bool {
        switch state {
        case .exchange(let exchange): exchange.input != .held
        case .lingering: true
        case .waiting, .closed: false
        }
    }

    /// Whether more bytes of the socket are of use.
    var wantsInput: Bool {
        switch state {
        case .waiting: !isDraining
        case .lingering: true
        case .closed: false
        case .exchange(let exchange):
            switch exchange.input {
            case .held, .ended: false
            case .wanted, .discarding: true
            }
        }
    }

    /// Whether one read may stay asked for although its bytes are of no use yet: the current request is complete, so they
    /// are the next one's. The socket then stays registered with the kernel, which saves two system calls a request.
    var mayReadAhead: Bool {
        guard case .exchange(let exchange) = state else { return false }
        return exchange.input == .ended && exchange.keepAlive && !isDraining
    }

    // MARK: Events

    mutating func requestArrived(hasBody: Bool, keepAlive: Bool, expectsContinue: Bool) {
        guard state == .waiting else { return assertionFailure("a request inside a request") }
        state = .exchange(
            Exchange(
                input: hasBody ? .held : .ended, output: .awaited, keepAlive: keepAlive && !isDraining,
                owesContinue: hasBody && expectsContinue))
    }

    /// The request's owner wants its body. True when `100 Continue` is due first.
    mutating func bodyWanted() -> Bool {
        guard case .exchange(var exchange) = state, exchange.input == .held else { return false }
        exchange.input = .wanted
        // RFC 9110 10.1.1: not after a final status has been sent.
        let due = exchange.owesContinue && exchange.output == .awaited
        exchange.owesContinue = false
        state = .exchange(exchange)
        return due
    }

    mutating func bodyArrived(bytes: Int) -> BodyAction {
        switch state {
        case .exchange(var exchange):
            switch exchange.input {
            case .wanted: return .deliver
            case .discarding(let left):
                guard bytes <= left else { return .close }
                exchange.input = .discarding(bytesLeft: left - bytes)
                state = .exchange(exchange)
                return .drop
            case .held, .ended: return .drop
            }
        case .lingering(let left):
            guard bytes <= left else { return .close }
            state = .lingering(bytesLeft: left - bytes)
            return .drop
        case .waiting, .closed: return .drop
        }
    }

    mutating func inputEnded() -> Next {
        switch state {
        case .exchange(var exchange):
            exchange.input = .ended
            state = .exchange(exchange)
            return exchange.output == .finished ? settle(exchange) : .nothing
        case .lingering: return .close
        case .waiting, .closed: return .nothing
        }
    }

    /// The body broke off, was malformed or too slow: nothing after it can be understood.
    mutating func inputFailed() {
        guard case .exchange(var exchange) = state else { return }
        exchange.keepAlive = false
        exchange.owesContinue = false
        // Nothing more is read before the answer is out.
        if exchange.input != .ended { exchange.input = .held }
        state = .exchange(exchange)
    }

    /// The client has closed its side inside a body that nobody wants: nothing follows.
    mutating func inputCut() -> Next {
        inputFailed()
        return inputEnded()
    }

    /// The answer's head is about to be written. Says whether the connection can be kept; `bodyLeft` is what the client
    /// still has to send, nil when unknown.
    mutating func answerStarted(bodyLeft: Int64?) -> Bool {
        guard case .exchange(var exchange) = state, exchange.output == .awaited else { return false }
        exchange.output = .started
        if exchange.input != .ended {
            // A client that waits for `100 Continue` may or may not send its body now: the two cannot be told apart.
            if exchange.owesContinue { exchange.keepAlive = false }
            if let bodyLeft, bodyLeft > Int64(discardLimit) { exchange.keepAlive = false }
        }
        if isDraining { exchange.keepAlive = false }
        state = .exchange(exchange)
        return exchange.keepAlive
    }

    /// The answer has no length that the client can know: its end is the connection's.
    mutating func closesAfterAnswer() {
        guard case .exchange(var exchange) = state else { return }
        exchange.keepAlive = false
        state = .exchange(exchange)
    }

    mutating func answerFinished() -> Next {
        guard case .exchange(var exchange) = state, exchange.output == .started else { return .nothing }
        exchange.output = .finished
        return settle(exchange)
    }

    private mutating func settle(_ exchange: Exchange) -> Next {
        var exchange = exchange
        switch (exchange.input, exchange.keepAlive) {
        case (.ended, true):
            state = .waiting
            if isDraining { return closed() }
            return .awaitRequest
        case (.ended, false):
            return closed()
        case (_, true):
            if exchange.input == .held || exchange.input == .wanted {
                exchange.input = .discarding(bytesLeft: discardLimit)
            }
            state = .exchange(exchange)
            return .nothing
        case (_, false):
            state = .lingering(bytesLeft: lingerLimit)
            return .linger
        }
    }

    /// The head could not be understood; an error answer has been written.
    mutating func refused() -> Next {
        state = .lingering(bytesLeft: lingerLimit)
        return .linger
    }

    mutating func drain() -> Next {
        isDraining = true
        return state == .waiting ? closed() : .nothing
    }

    mutating func closed() -> Next {
        state = .closed
        return .close
    }
}
