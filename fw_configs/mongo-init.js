// Roles and users of the archive on a MongoDB with authentication. docker-compose.yml runs this once, on an empty
// volume. On a server of your own, with the four variables below set, and again after every update of lizrcl_flows:
//
//   mongosh "mongodb://admin@db.example/?authSource=admin" --file fw_configs/mongo-init.js
//
// LIZRCL_DB_NAME (default lizrcl), LIZRCL_OWNER_PASSWORD, LIZRCL_WORKER_PASSWORD, LIZRCL_READER_PASSWORD
//
// lizrcl_owner   makes collections, validators and indexes: `lizrcl db init`, `lizrcl db check --repair`, `lpad reset`
// lizrcl_worker  what lpad add, rlaunch, the jobs and `lizrcl doctor` need. It can neither change nor remove events, nor
//                remove or drop documents, files or lineage. Adding a workflow takes `remove` on FireWorks' collection
//                `fireworks`: a worker can empty the queue, never the archive
// lizrcl_reader  dashboards, auditors and `lizrcl doctor`: reads everything, writes nothing
//
// Only process.env, db.getSiblingDB and runCommand are used, so that the tests can run it without mongosh.
const name = process.env.LIZRCL_DB_NAME || "lizrcl";
const archive = db.getSiblingDB(name);

const add = ["find", "insert"];
const work = ["find", "insert", "update"];
const roles = {
  lizrcl_worker: [
    {
      collections: [
        "campaigns", "structures", "candidates", "labels", "levels", "datasets", "models", "committees",
        "evaluations", "generations", "trajectories", "transports", "analyses", "lineage", "turns", "attempts",
      ],
      actions: work,
    },
    { collections: ["events"], actions: add },
    { collections: ["meta"], actions: ["find"] },
    { collections: ["files.files", "files.chunks"], actions: work },
    { collections: ["launches", "workflows", "offline_runs", "fw_id_assigner", "outputs"], actions: work },
    { collections: ["fireworks"], actions: [...work, "remove"] },
    {
      // GridFS makes its indexes when it writes into an empty bucket; jobflow replaces what a rerun wrote before
      collections: ["fw_gridfs.files", "fw_gridfs.chunks", "blobs.files", "blobs.chunks"],
      actions: [...work, "remove", "createIndex"],
    },
    { collections: [""], actions: ["listCollections", "listIndexes"] },
  ],
  lizrcl_reader: [{ collections: [""], actions: ["find", "listCollections", "listIndexes", "collStats"] }],
};
const users = {
  lizrcl_owner: ["LIZRCL_OWNER_PASSWORD", "dbOwner"],
  lizrcl_worker: ["LIZRCL_WORKER_PASSWORD", "lizrcl_worker"],
  lizrcl_reader: ["LIZRCL_READER_PASSWORD", "lizrcl_reader"],
};

for (const [variable] of Object.values(users)) {
  if (!process.env[variable]) throw new Error(`${variable} is not set; nothing was changed`);
}
for (const [role, grants] of Object.entries(roles)) {
  const privileges = grants.flatMap(({ collections, actions }) =>
    collections.map((collection) => ({ resource: { db: name, collection }, actions })),
  );
  const exists = archive.runCommand({ rolesInfo: role }).roles.length > 0;
  archive.runCommand({ [exists ? "updateRole" : "createRole"]: role, privileges, roles: [] });
}
for (const [user, [variable, role]] of Object.entries(users)) {
  const exists = archive.runCommand({ usersInfo: user }).users.length > 0;
  archive.runCommand({ [exists ? "updateUser" : "createUser"]: user, pwd: process.env[variable], roles: [role] });
}
