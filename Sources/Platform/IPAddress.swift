/// An IPv4 or IPv6 address, without zones and ports.
public struct IPAddress: Sendable, Hashable {
    public enum Family: Sendable, Hashable {
        case v4
        case v6
        public var bits: Int { self == .v4 ? 32 : 128 }
    }

    public var family: Family
    /// The address as a number, right-aligned.
    public var value: UInt128

    public init(family: Family, value: UInt128) {
        self.family = family
        self.value = value
    }

    /// Nil when the text is no literal address. Leading zeroes in an IPv4 part are decimal.
    public init?(_ text: some StringProtocol) {
        // The longest literal: eight groups with an embedded IPv4 address.
        let bytes = Array(text.utf8.prefix(46))
        guard bytes.count <= 45, !bytes.isEmpty else { return nil }
        if bytes.contains(UInt8(ascii: ":")) {
            guard let value = Self.v6(bytes) else { return nil }
            self.init(family: .v6, value: value)
        } else {
            guard let value = Self.v4(bytes[...]) else { return nil }
            self.init(family: .v4, value: UInt128(value))
        }
    }

    private static func v4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard !part.isEmpty, part.count <= 10 else { return nil }
            var number: UInt64 = 0
            for byte in part {
                guard (0x30...0x39).contains(byte) else { return nil }
                number = number * 10 + UInt64(byte - 0x30)
            }
            guard number <= 255 else { return nil }
            value = value << 8 | UInt32(number)
        }
        return value
    }

    /// RFC 4291, section 2.2.
    private static func v6(_ bytes: [UInt8]) -> UInt128? {
        var groups = bytes.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        // "::1" and "1::" split into two empty groups at their ends, of which one is the gap.
        if groups.count >= 3, groups[0].isEmpty, groups[1].isEmpty { groups.removeFirst() }
        if groups.count >= 3, groups[groups.count - 1].isEmpty, groups[groups.count - 2].isEmpty { groups.removeLast() }
        var before: [UInt16] = []
        var after: [UInt16]?
        for (index, group) in groups.enumerated() {
            if group.isEmpty {
                guard after == nil else { return nil }
                after = []
                continue
            }
            let parts: [UInt16]
            if group.contains(UInt8(ascii: ".")) {
                guard index == groups.count - 1, let v4 = v4(group) else { return nil }
                parts = [UInt16(v4 >> 16), UInt16(v4 & 0xffff)]
            } else {
                guard group.count <= 4, let part = UInt16(String(decoding: group, as: UTF8.self), radix: 16),
                    group.first != UInt8(ascii: "+"), group.first != UInt8(ascii: "-")
                else { return nil }
                parts = [part]
            }
            if after == nil { before += parts } else { after? += parts }
        }
        let given = before.count + (after?.count ?? 0)
        guard after == nil ? given == 8 : given < 8 else { return nil }
        let all = before + Array(repeating: 0, count: 8 - given) + (after ?? [])
        return all.reduce(0) { $0 << 16 | UInt128($1) }
    }
}

/// A block of addresses, `address/bits`.
public struct IPAddressBlock: Sendable, Hashable {
    public var family: IPAddress.Family
    public var lowest: UInt128
    public var highest: UInt128

    /// `bits` is clamped to what the family has.
    public init(_ address: IPAddress, bits: Int) {
        let free = address.family.bits - min(max(bits, 0), address.family.bits)
        let mask: UInt128 = free >= 128 ? .max : (1 << UInt128(free)) - 1
        family = address.family
        lowest = address.value & ~mask
        highest = address.value | mask
    }

    public func contains(_ address: IPAddress) -> Bool {
        address.family == family && lowest <= address.value && address.value <= highest
    }
}
