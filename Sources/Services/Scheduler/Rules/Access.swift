import Contracts
import Platform
import Policies
import Storage
import Wire

/// Who may do what: the caller's own policies.
struct Access: Sendable {
    let authorizer: any Authorizer

    /// Throws AccessDeniedException. `action` without its `scheduler:`.
    func check(
        _ caller: some Caller, _ action: String, _ resource: String, in transaction: any ReadTransaction
    ) throws {
        let decision = try authorizer.decide(
            for: caller, action: "scheduler:\(action)", resource: resource,
            more: {
                try $0.resourceTags {
                    try GroupKey(arn: resource).flatMap { try GroupTable.get($0, in: transaction)?.tags }
                }
            },
            in: transaction)
        guard decision == .allowed, caller.principal.account == ARN(resource)?.account else {
            throw AWSError.denied(caller.principal, action, resource)
        }
    }

    /// Throws AccessDeniedException unless the caller may hand the role to Scheduler, ValidationException unless that may
    /// assume it for a schedule of the group (guide, "Confused deputy prevention": `aws:SourceArn` is the group's).
    func checkPassing(_ role: String?, _ caller: some Caller, group: GroupKey, in transaction: any ReadTransaction)
        throws
    {
        guard let role else { return }
        do {
            try PassRole(to: "scheduler.amazonaws.com", authorizer).check(
                role, by: caller, source: group.arn, in: transaction)
        } catch PassRole.Problem.notPermitted(let text) {
            throw AWSError("AccessDeniedException", status: 403, text)
        } catch PassRole.Problem.notAssumable {
            throw AWSError.notAssumable
        }
    }
}
