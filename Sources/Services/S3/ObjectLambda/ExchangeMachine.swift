import NIOCore
import Platform

/// The answer to a GET through an Object Lambda access point, before its body.
struct TransformedHead: Sendable {
    var status: Int
    /// Members of GetObject's output.
    var output: Value
    /// The body's length, bytes, when it is known.
    var length: Int64?
    var hasBody: Bool
}

/// One GET between the caller who waits for it and the WriteGetObjectResponse that answers it, generic over who waits so that
/// its rules are tested without a task.
///
/// Nothing is buffered: a piece stays with its writer until the reader takes it, so a slow caller slows the function.
struct ExchangeMachine<Caller, Reader, Writer> {
    private enum Phase {
        /// Nobody has answered.
        case open
        case answered
        /// Everything was taken, or nothing more comes.
        case over
    }

    private var phase = Phase.open
    /// For the caller, until it asks.
    private var head: Result<TransformedHead, any Error>?
    private var caller: Caller?
    private var reader: Reader?
    /// A piece, or the end (nil), that waits for the reader.
    private var offered: (piece: ByteBuffer?, writer: Writer)?
    private var failure: (any Error)?

    var isOver: Bool { if case .over = phase { true } else { false } }

    // MARK: The caller

    /// The answer, when it is there; else the caller waits.
    mutating func callerWaits(_ caller: Caller) -> Result<TransformedHead, any Error>? {
        if let head = self.head.take() { return head }
        if let failure { return .failure(failure) }
        self.caller = caller
        return nil
    }

    enum Read {
        /// The writer is to go on; at the end it has delivered everything.
        case piece(ByteBuffer?, Writer)
        case failure(any Error)
        /// The reader is kept.
        case wait
    }

    mutating func read(_ reader: Reader) -> Read {
        if let (piece, writer) = offered.take() {
            if piece == nil { phase = .over }
            return .piece(piece, writer)
        }
        if let failure { return .failure(failure) }
        self.reader = reader
        return .wait
    }

    // MARK: The function

    /// Takes the answer, the first time; `caller`, when there is one, is to be given it.
    mutating func answer(_ head: TransformedHead) -> (accepted: Bool, caller: Caller?) {
        guard case .open = phase else { return (false, nil) }
        phase = head.hasBody ? .answered : .over
        if let caller = self.caller.take() { return (true, caller) }
        self.head = .success(head)
        return (true, nil)
    }

    enum Offer {
        /// The reader has it; the writer goes on.
        case taken(Reader)
        case failure(any Error)
        /// The writer is kept.
        case wait
    }

    /// Offers a piece of the body; nil is its end.
    mutating func offer(_ piece: ByteBuffer?, _ writer: Writer) -> Offer {
        if let failure { return .failure(failure) }
        if let reader = self.reader.take() {
            if piece == nil { phase = .over }
            return .taken(reader)
        }
        offered = (piece, writer)
        return .wait
    }

    // MARK: The end

    /// Who is to be told of the failure.
    struct Ended {
        var caller: Caller?
        var reader: Reader?
        var writer: Writer?
    }

    /// Something ended the exchange: the function, the time, the caller who went away. Nothing, when it was over.
    mutating func end(_ failure: any Error) -> Ended {
        guard !isOver else { return Ended() }
        phase = .over
        self.failure = failure
        return Ended(caller: caller.take(), reader: reader.take(), writer: offered.take()?.writer)
    }
}
