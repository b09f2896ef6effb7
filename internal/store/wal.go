package store

const (
	// pageSize in octets of a new SQLite file.
	pageSize = 8192
	// checkpointPages in the WAL make the writer copy them into the database.
	checkpointPages = 1000
	// walKeep is the size in octets to which the WAL is cut when it begins anew.
	walKeep = 64 << 20
)
