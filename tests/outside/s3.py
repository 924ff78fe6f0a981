"""What tests do at an object store beside flowctl, by other libraries: s3.py bucket NAME | put BUCKET/KEY [FILE] | rows URL

`rows` prints a Delta table as JSON, sorted, read by the package `deltalake`. The store is that of AWS_ENDPOINT_URL.
"""

import json
import os
import pathlib
import sys


def store():
    import pyarrow.fs

    return pyarrow.fs.S3FileSystem(
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        endpoint_override=os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"),
        scheme="http",
        region=os.environ["AWS_REGION"],
        allow_bucket_creation=True,
    )


def main() -> None:
    match sys.argv[1:]:
        case ["bucket", name]:
            store().create_dir(name)
        case ["put", key, *file]:
            with store().open_output_stream(key, compression=None) as stream:
                stream.write(pathlib.Path(*file).read_bytes() if file else b"not in any version")
        case ["rows", url]:
            import deltalake

            table = deltalake.DeltaTable(url, storage_options={"AWS_ALLOW_HTTP": "true"})
            rows = table.to_pyarrow_table().to_pylist()
            print(json.dumps(sorted(rows, key=str), default=str))
        case _:
            sys.exit(__doc__)
    # The libraries' own threads do not always let the process end.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
