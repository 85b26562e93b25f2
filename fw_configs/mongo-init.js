// Roles and users of the archive on a MongoDB with authentication. docker-compose.yml runs this once, on an empty
// volume; on a server of your own: mongosh "mongodb://admin@host/admin" --file fw_configs/mongo-init.js
//
// lizrcl_owner   makes collections, validators and indexes: `lizrcl db init`, `lpad reset`
// lizrcl_worker  what lpad add, rlaunch and the jobs need. It can neither change nor remove events, files or documents'
//                lineage beyond adding to them; `remove` on the FireWorks collection `fireworks` is what adding a
//                workflow takes, so a worker can empty the queue, never the archive
// lizrcl_reader  dashboards and auditors: reads everything, writes nothing
//
// The block between the marks is JSON, so that the tests can grant exactly this.
const ROLES = /* begin roles */ {
  "lizrcl_worker": [
    {
      "collections": ["campaigns", "structures", "candidates", "labels", "levels", "datasets", "models", "committees",
        "evaluations", "generations", "trajectories", "transports", "lineage", "turns", "attempts"],
      "actions": ["find", "insert", "update"]
    },
    {"collections": ["events"], "actions": ["find", "insert"]},
    {"collections": ["meta"], "actions": ["find"]},
    {"collections": ["files.files", "files.chunks"], "actions": ["find", "insert", "update"]},
    {
      "collections": ["launches", "workflows", "offline_runs", "fw_id_assigner", "outputs"],
      "actions": ["find", "insert", "update"]
    },
    {"collections": ["fireworks"], "actions": ["find", "insert", "update", "remove"]},
    {
      "collections": ["fw_gridfs.files", "fw_gridfs.chunks", "blobs.files", "blobs.chunks"],
      "actions": ["find", "insert", "update", "remove", "createIndex", "listIndexes"]
    }
  ],
  "lizrcl_reader": [{"collections": [""], "actions": ["find", "listCollections", "listIndexes", "collStats"]}]
} /* end roles */;

const name = process.env.LIZRCL_DB_NAME || "lizrcl";
const archive = db.getSiblingDB(name);

for (const [role, grants] of Object.entries(ROLES)) {
  const privileges = grants.flatMap((grant) =>
    grant.collections.map((collection) => ({ resource: { db: name, collection }, actions: grant.actions })),
  );
  if (archive.getRole(role)) archive.updateRole(role, { privileges, roles: [] });
  else archive.createRole({ role, privileges, roles: [] });
}

const users = {
  lizrcl_owner: ["LIZRCL_OWNER_PASSWORD", "dbOwner"],
  lizrcl_worker: ["LIZRCL_WORKER_PASSWORD", "lizrcl_worker"],
  lizrcl_reader: ["LIZRCL_READER_PASSWORD", "lizrcl_reader"],
};
for (const [user, [variable, role]] of Object.entries(users)) {
  const pwd = process.env[variable];
  if (!pwd) throw new Error(`set ${variable}`);
  if (archive.getUser(user)) archive.updateUser(user, { pwd, roles: [role] });
  else archive.createUser({ user, pwd, roles: [role] });
}
