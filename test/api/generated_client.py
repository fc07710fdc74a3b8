"""Uploads a file and fetches a video, with a client that was generated from /openapi.json.

Arguments: base URL, API key, audio file, id of a render that has completed.
"""

import json
import pathlib
import sys

from farm_client import AuthenticatedClient
from farm_client.api.renders import get_video, list_renders, submit_render
from farm_client.models import ListRendersStatus, SubmitRenderBody
from farm_client.types import File

url, key, file, finished = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key)
path = pathlib.Path(file)


def upload(**fields):
    with path.open("rb") as sound:
        body = SubmitRenderBody(audio=File(payload=sound, file_name=path.name), **fields)
        return submit_render.sync(client=client, body=body)


render = upload(model_id="demo", start_frame=7)
refused = upload(jpeg_quality=500)
page = list_renders.sync(client=client, limit=5, status=ListRendersStatus.QUEUED)
video = get_video.sync(client=client, id=finished)
print(
    json.dumps(
        {
            "submitted": {"status": render.status, "modelId": render.model_id, "fileName": render.file_name},
            "refused": refused.error.to_dict(),
            "listed": len(page.renders),
            "video": video.payload.read().decode(),
        }
    )
)
