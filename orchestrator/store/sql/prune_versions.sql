delete from versions where dataset = $1 and version < $2
