//! Offline reading of event logs: files, folders and archives of EVTX and JSON, record by record.
