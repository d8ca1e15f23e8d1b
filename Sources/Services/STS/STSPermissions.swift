public import Contracts
import Platform
public import Policies

extension STSService {
    /// What an operation needs of a role session's policies: only to become another role. Who one is everybody may know.
    public static func permissions(_ operation: String, _ request: OperationRequest) -> [PermissionNeed] {
        guard operation == "AssumeRole", let role = request.input["RoleArn"]?.string else { return [] }
        return [PermissionNeed("sts:AssumeRole", role)]
    }
}
