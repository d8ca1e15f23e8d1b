import Platform

/// What tells a server its own outbound requests from everybody else's: a header with a value that each process makes anew.
/// `OutboundHTTP` puts it on every request, and the front door calls no service for a request that has it: where a request
/// of the server leads is somebody else's choice, and it would come from this machine, with an account's root rights.
///
/// Whoever receives such a request learns the value, and can do nothing with it but be refused.
public struct OutboundMark: Sendable {
    public static let header = "x-martlet-outbound"

    private let value: Secret<String>

    /// 128 random bits, as 32 hexadecimal digits.
    public init() { value = Secret(Identifier.hex(32)) }

    /// The value of the header.
    public func reveal() -> String { value.reveal() }
}
