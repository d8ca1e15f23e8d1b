import Contracts
import NIOCore
import Platform
import Wire

/// A request of the Skill Management API, taken apart.
struct APIRequest: Sendable {
    var method: String
    /// Decoded parts of the path.
    var path: [String]
    var query: Form
    var body: [UInt8]
    var ifMatch: String?
    /// Scheme and authority of this API, for links.
    var endpoint: String
    var now: Instant

    init(_ request: DoorRequest) {
        method = request.head.method
        path = request.head.path.utf8.split(separator: UInt8(ascii: "/"), maxSplits: 16).map {
            String(decoding: PercentEncoding.decode($0), as: UTF8.self)
        }
        query = Form(Array(request.head.query.utf8))
        body = Array(request.body.readableBytesView)
        ifMatch = request.head.header("if-match")
        endpoint = request.context.endpoint
        now = request.context.now
    }

    /// The body as an object. Throws 400.
    func json() throws(APIError) -> Value {
        let value: Value
        do {
            value = try JSON.parse(body)
        } catch {
            throw .bad("The request body is not valid JSON: \(error.message)")
        }
        guard value.fields != nil else { throw .bad("The request body must be a JSON object.") }
        guard value.isWithin(depth: Limits.depth) else {
            throw .bad("The request body is nested deeper than \(Limits.depth) levels.")
        }
        return value
    }
}
