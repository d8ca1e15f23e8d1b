import Platform
import Storage

/// JSON columns.
enum Document {
    static func text(_ value: Value) -> SQLValue { .text(String(decoding: JSON.encode(value), as: UTF8.self)) }

    /// Throws `Failure(.corrupt)`: what is in our columns, we wrote.
    static func value(_ text: String) throws -> Value {
        do {
            return try JSON.parse(Array(text.utf8))
        } catch {
            throw Failure(.corrupt, "a JSON column of Lambda's tables is not JSON", cause: error)
        }
    }
}

extension AccountRegion {
    /// The first two parameters of every key.
    var sql: [SQLValue] { [.text(account), .text(region)] }
}
