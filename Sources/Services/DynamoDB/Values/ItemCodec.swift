/// Items as the store keeps them: a compact binary form with a version in front.
enum ItemCodec {
    /// Bytes of the store that no version of Martlet wrote.
    struct Damage: Error, Sendable {}

    static func encode(_ item: Item) -> [UInt8] { [] }

    static func decode(_ bytes: [UInt8]) throws(Damage) -> Item { throw Damage() }
}
