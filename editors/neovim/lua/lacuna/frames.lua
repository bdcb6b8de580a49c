-- The canvas as virtual text while it condenses.
local M = {}

local space = vim.api.nvim_create_namespace('lacuna.frames')

--- Draws a frame in place of the one before.
function M.draw(frame, client_id)
  local buf, client = vim.uri_to_bufnr(frame.uri), vim.lsp.get_client_by_id(client_id)
  if frame.canvas > 0 or not client or vim.lsp.util.buf_versions[buf] ~= frame.version then return end
  local lines = { {} }
  for _, cell in ipairs(frame.cells) do
    for index, text in ipairs(vim.split(cell.text, '\n')) do
      lines[#lines + 1] = index > 1 and {} or nil -- a new line
      table.insert(lines[#lines], { text, cell.state == 'noise' and 'NonText' or 'ComplHint' })
    end
  end
  local row = frame.range.start.line
  local line = vim.api.nvim_buf_get_lines(buf, row, row + 1, false)[1] or ''
  local column = vim.str_byteindex(line, client.offset_encoding, frame.range.start.character, false)
  local mark = { id = 1, virt_text = table.remove(lines, 1), virt_text_pos = 'inline', virt_lines = lines }
  vim.api.nvim_buf_set_extmark(buf, space, row, column, mark)
end

function M.clear()
  vim.iter(vim.api.nvim_list_bufs()):each(function(buf) vim.api.nvim_buf_clear_namespace(buf, space, 0, -1) end)
end

return M
