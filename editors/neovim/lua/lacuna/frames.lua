-- The canvas as virtual text while it condenses, in front of what it replaces.
local M, space = {}, vim.api.nvim_create_namespace('lacuna.frames')
vim.api.nvim_set_hl(0, 'LacunaNoise', { link = 'NonText', default = true })
vim.api.nvim_set_hl(0, 'LacunaAccepted', { link = 'Normal', default = true })

--- Draws a frame in place of the one before.
function M.draw(frame, client_id)
  local buf, client = vim.uri_to_bufnr(frame.uri), vim.lsp.get_client_by_id(client_id)
  if frame.canvas > 0 or not client or vim.lsp.util.buf_versions[buf] ~= frame.version then return end
  local lines = { {} }
  for _, cell in ipairs(frame.cells) do
    for index, text in ipairs(vim.split(cell.text, '\n')) do
      lines[#lines + 1] = index > 1 and {} or nil -- a new line
      table.insert(lines[#lines], { text, cell.state == 'noise' and 'LacunaNoise' or 'LacunaAccepted' })
    end
  end
  local function byte(at)
    return vim.str_byteindex(vim.fn.getbufoneline(buf, at.line + 1), client.offset_encoding, at.character, false)
  end
  local from, to = frame.range.start, frame.range['end']
  vim.api.nvim_buf_set_extmark(buf, space, from.line, byte(from), {
    id = 1, virt_text = table.remove(lines, 1), virt_text_pos = 'inline', virt_lines = lines,
    end_row = to.line, end_col = byte(to), hl_group = 'LacunaNoise', invalidate = true, -- goes with what it replaces
  })
end

function M.clear()
  vim.iter(vim.api.nvim_list_bufs()):each(function(buf) vim.api.nvim_buf_clear_namespace(buf, space, 0, -1) end)
end

return M
